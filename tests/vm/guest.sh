#!/bin/busybox sh
# The guest's init: a container's cgroup below a limited one, some work in it, and its files before and after.
export PATH=/bin
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
for module in /modules/*; do insmod $module; done
mount -t cgroup2 cgroup2 /sys/fs/cgroup
until [ -b /dev/vda ] && [ -b /dev/vdb ]; do usleep 10000; done
mkswap /dev/vdb >/dev/null
swapon /dev/vdb
echo 8 >/proc/sys/vm/nr_hugepages

cd /sys/fs/cgroup
all="+cpuset +cpu +io +memory +hugetlb +pids"
echo "$all" >cgroup.subtree_control
mkdir pod
echo "$all" >pod/cgroup.subtree_control
mkdir pod/web
echo 0-2 >pod/cpuset.cpus
echo 1-3 >pod/web/cpuset.cpus
echo "120000 100000" >pod/cpu.max
echo "300000 100000" >pod/web/cpu.max
echo 400M >pod/memory.max
echo 152M >pod/web/memory.high
echo 160M >pod/web/memory.max
echo 64M >pod/web/memory.swap.max
echo 4M >pod/web/hugetlb.2MB.max
echo 50 >pod/web/pids.max

# The container's init, and what works in it.
sh -c 'echo $$ >/sys/fs/cgroup/pod/web/cgroup.procs; while sleep 1000; do :; done' &
init=$!
until grep -q web /proc/$init/cgroup; do usleep 10000; done

show() {
	for file in $2; do
		[ -f $file ] && [ -r $file ] || continue
		echo "==> $1 ${file#/} <=="
		cat $file 2>/dev/null
	done
}

moment() {
	show $1 "/proc/meminfo /proc/cpuinfo /proc/stat /proc/vmstat /proc/uptime /proc/cgroups /proc/swaps /proc/self/mountinfo
		/proc/sys/vm/overcommit_ratio /proc/sys/vm/overcommit_kbytes /sys/devices/system/cpu/online /sys/devices/system/cpu/possible
		/sys/devices/system/cpu/present"
	show $1 "/sys/devices/system/node/node0/cpulist /sys/devices/system/node/node0/cpumap /sys/devices/system/node/node0/meminfo"
	show $1 "/sys/dev/block/254:0/uevent /sys/dev/block/254:16/uevent"
	for pid in $(cat /sys/fs/cgroup/pod/web/cgroup.procs); do
		show $1 "/proc/$pid/cgroup /proc/$pid/stat /proc/$pid/status /proc/$pid/task/$pid/stat"
	done
	show $1 "$(echo /sys/fs/cgroup/pod/* /sys/fs/cgroup/pod/web/*)"
	echo "==> $1 init <=="
	echo $init
}

echo "@BEGIN@"
moment idle
echo $$ >pod/web/cgroup.procs
work 20 120 2 &
work 10 1 2 &
dd if=/dev/zero of=/dev/vda bs=1M count=20 oflag=direct 2>/dev/null
echo $$ >/sys/fs/cgroup/cgroup.procs
sleep 8
moment busy
echo "@END@"
sync
poweroff -f
