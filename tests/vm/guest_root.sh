#!/bin/busybox sh
# The guest's init: the disk's Debian as root, cgroups in version 2 alone, and in it one command whose end ends the machine.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
if [ -d /modules ]; then
	/bin/busybox --install -s /bin
	mount -t devtmpfs dev /dev
	for module in /modules/*; do insmod $module; done
	mkdir /disk
	until mount -t ext4 /dev/vda /disk 2>/dev/null; do usleep 10000; done
	cp /init /disk/init
	exec switch_root /disk /init
fi
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t securityfs securityfs /sys/kernel/security
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tmpfs tmpfs /run
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
ip link set lo up
hostname guest
for module in overlay fuse tun veth loop nf_conntrack; do /sbin/modprobe $module; done
mkdir /sys/fs/cgroup/init
echo 1 >/sys/fs/cgroup/init/cgroup.procs
for controller in $(cat /sys/fs/cgroup/cgroup.controllers); do echo +$controller >/sys/fs/cgroup/cgroup.subtree_control; done
ulimit -n 65536
cd /root/eci
echo "@BEGIN@"
/bin/sh -c '@COMMAND@' </dev/null 2>&1
echo "@END@ $?"
sync
/bin/busybox poweroff -f
