#!/bin/sh
# What testcontainers' ryuk does, with the calls that it makes: whoever connects to port 8080 sends filters, one a line, and gets ACK for
# each; when the connection ends, what they mean is removed.
remove() {
	for filter; do
		docker ps --all --quiet --filter "$filter" | xargs -r docker rm --force --volumes
		docker network ls --quiet --filter "$filter" | xargs -r docker network rm
		docker volume ls --quiet --filter "$filter" | xargs -r docker volume rm --force
		docker image ls --quiet --filter "$filter" | xargs -r docker rmi --force
	done
}

serve() {
	set --
	while read -r filter; do
		set -- "$@" "$(echo "$filter" | tr -d '\r')"
		echo ACK
	done
	remove "$@" >&2
}

[ "$1" = serve ] && serve && exit
nc -l -p 8080 -e "$0" serve &
docker version >&2 && echo "$(date) Started!" >&2
wait
