# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# A small virtual machine with Debian's kernel, for what the host's kernel lacks and for peers of a
# kernel that no test may configure. Emulated (TCG), so it needs no /dev/kvm. Sourced after lib.sh.
#
#	vm_program nft                          # beside busybox, ip and the programs of vm/
#	vm_file FOLDER /etc/pki                 # and what else it is to have
#	vm_start NAMESPACE TAP...               # eth0, eth1, ... are these taps of the namespace
#	vm ip link show dev eth0                # as on the host: output, exit status
#	vm_background server iperf3 -s          # goes on; ends with the machine
#
# All of it is in memory: a folder of the host becomes the initial RAM disk and vm/init boots it. The
# second serial line carries the commands, one at a time; see vm/init for what crosses it. Error output
# and the kernel's messages go to the console, which is vm_log's.

VM_SOURCE=$KAIDO_ROOT/tests/interop/vm
VM_MEMORY=192     # MiB
VM_BOOT_TIME=300  # seconds; it takes 3 on an idle machine
VM_TIME=180       # seconds for one command
VM_DIR=           # RAM disk, console, the ends of the serial line
VM_PROGRAMS=(dash ip sysctl)
VM_FILES=() # pairs: of the host, in the machine
VM_PID=
VM_SEND='' VM_RECEIVE=''

# vm_program NAME...: a program of the host that the machine is to have, with its libraries.
vm_program()
{
	VM_PROGRAMS+=("$@")
}

# vm_file SOURCE [PLACE]: a file or folder of the host; what is a program or library brings its libraries.
vm_file()
{
	VM_FILES+=("$1" "${2:-$1}")
}

# --- the RAM disk -----------------------------------------------------------------------------

# vm_install SOURCE PLACE: and the libraries of a program where the loader looks for them.
vm_install()
{
	local root=$VM_DIR/root file

	mkdir -p "$root${2%/*}"
	cp -rL "$1" "$root$2"
	while read -r file; do
		[[ -e $root$file ]] || install -D "$file" "$root$file"
	done < <(find -L "$1" -type f -exec ldd {} + 2>/dev/null |
		sed -n 's|.*=> \(/[^ ]*\) (.*|\1|p; s|^\s*\(/[^ ]*\) (.*|\1|p' | sort -u)
}

vm_files()
{
	local program path number

	for program in "${VM_PROGRAMS[@]}"; do
		path=$(command -v "$program") || die "the virtual machine is to have $program, which is not installed"
		vm_install "$path" "/bin/$program"
	done
	for ((number = 0; number < ${#VM_FILES[@]}; number += 2)); do
		vm_install "${VM_FILES[number]}" "${VM_FILES[number + 1]}"
	done
}

# Programs of our own, which stand alone.
vm_compile()
{
	local source name

	for source in "$VM_SOURCE"/*.c; do
		name=${source##*/}
		gcc -std=gnu11 -O2 -Wall -Wextra -Werror -static -o "$VM_DIR/root/bin/${name%.c}" "$source"
	done
}

# The modules of vm/modules and what they need.
vm_modules()
{
	local root=$1 kernel=$2 release module

	release=$(ls "$kernel/lib/modules")
	mkdir -p "$root/lib/modules/$release"
	cp "$kernel/lib/modules/$release"/modules.* "$root/lib/modules/$release/"
	while read -r module; do
		modprobe -d "$kernel" -S "$release" --show-depends "$module"
	done < <(sed 's/#.*//; /^[[:space:]]*$/d' "$VM_SOURCE/modules") |
		awk '$1 == "insmod" { print $2 }' | sort -u |
		while read -r module; do
			install -D -m 644 "$module" "$root${module#"$kernel"}"
		done
}

vm_ramdisk()
{
	local kernel=$1 root=$VM_DIR/root

	mkdir -p "$root"/{bin,sbin,lib,lib64,usr,dev,proc,sys,run,tmp,etc}
	ln -s ../lib "$root/usr/lib"
	cp "$(command -v busybox)" "$root/bin/busybox"
	ln -s ../bin/busybox "$root/sbin/modprobe" # which the kernel starts by this name
	ln -s dash "$root/bin/sh"                  # busybox's own takes its applets for ip and others
	vm_files
	vm_compile
	vm_modules "$root" "$kernel"
	install "$VM_SOURCE/init" "$root/init"
	cp "$VM_SOURCE/modules" "$root/etc/modules"
	(cd "$root" && find . -print0 | cpio --null --create --quiet --format=newc) >"$VM_DIR/initrd"
	rm -rf "$root"
}

# --- the machine ------------------------------------------------------------------------------

# Neither offload of the kernel's crosses a tap here: what comes out of it is whole packets.
vm_network()
{
	local number=0 tap

	for tap in "$@"; do
		printf '%s\n' -netdev "tap,id=net$number,ifname=$tap,script=no,downscript=no,vnet_hdr=off" \
			-device "virtio-net-pci,netdev=net$number,romfile=,mac=$(vm_mac $number)"
		number=$((number + 1))
	done
}

vm_mac()
{
	printf '02:00:00:00:01:%02x' "$1"
}

# vm_start NAMESPACE TAP...: the taps are made there, up, without an address. Returns when the machine
# takes commands.
vm_start()
{
	local namespace=$1 kernel network tap

	shift
	kernel=$("$KAIDO_ROOT/scripts/vm-kernel")
	scratch_dir VM_DIR
	vm_ramdisk "$kernel"
	mkfifo "$VM_DIR/agent.in" "$VM_DIR/agent.out"
	exec {VM_SEND}<>"$VM_DIR/agent.in" {VM_RECEIVE}<>"$VM_DIR/agent.out"
	for tap in "$@"; do
		ip -n "$namespace" tuntap add dev "$tap" mode tap
		ip -n "$namespace" link set "$tap" txqueuelen 10000 up # the machine may stand still for a while
	done
	mapfile -t network < <(vm_network "$@")
	spawn VM_PID "$VM_DIR/qemu.log" ip netns exec "$namespace" qemu-system-x86_64 \
		-accel tcg -cpu max -m "$VM_MEMORY" -nodefaults -no-user-config -display none -no-reboot \
		-kernel "$kernel/vmlinuz" -initrd "$VM_DIR/initrd" \
		-append 'console=ttyS0 quiet panic=-1 mitigations=off nokaslr' \
		-serial "file:$VM_DIR/console" \
		-chardev "pipe,id=agent,path=$VM_DIR/agent" -serial chardev:agent "${network[@]}"
	at_exit vm_log
	vm_receive ready "$VM_BOOT_TIME" >/dev/null || die "the virtual machine did not start"
}

vm_log()
{
	local file

	for file in qemu.log console; do
		[[ -s $VM_DIR/$file ]] || continue
		echo "----- virtual machine: $file"
		tail -n 60 "$VM_DIR/$file" | tr -d '\r'
	done
}

# --- commands ---------------------------------------------------------------------------------

# vm COMMAND [ARG...]: runs it, with its output and exit status as if it were here.
vm()
{
	vm_script "${*@Q}"
}

# vm_script TEXT: the same for a script of the machine's shell (dash).
vm_script()
{
	local number=$BASHPID.$RANDOM status=0

	{
		flock 9
		printf '%s %s\n' "$number" "$(base64 -w 0 <<<"$1")" >&"$VM_SEND"
		vm_receive "$number" "$VM_TIME" || status=$?
	} 9>"$VM_DIR/lock"
	return "$status"
}

# vm_write FILE: of the machine, from standard input.
vm_write()
{
	vm_script "mkdir -p ${1%/*} && base64 -d >$1 <<-END
		$(base64 -w 0)
	END"
}

# vm_receive NUMBER SECONDS: prints the output of the command of this number, returns its status.
vm_receive()
{
	local number=$1 line part='' output='' until=$((SECONDS + $2))

	while ((SECONDS < until)); do
		if ! IFS= read -r -t 1 -u "$VM_RECEIVE" line; then
			part+=$line # the line's beginning, if the machine stood still in its midst
			[[ -z $VM_PID ]] || process_is_running "$VM_PID" || break
			continue
		fi
		line=$part$line part=''
		line=${line%$'\r'}
		case $line in
		"end $number "*)
			base64 -d <<<"$output"
			return "${line##* }"
			;;
		begin*) output='' ;;
		*) output+=$line ;;
		esac
	done
	notice "no answer of the virtual machine"
	vm_log >&2
	return 125
}

# vm_background NAME COMMAND [ARG...]: what it prints is shown by vm_output NAME.
vm_background()
{
	local name=$1

	shift
	vm_script "rm -f /run/$name.status
		{
			${*@Q} >/run/$name.output &
			echo \$! >/run/$name.pid
			wait \$!
			echo \$? >/run/$name.status
		} </dev/null &"
}

# vm_stop NAME: asks it to end.
vm_stop()
{
	vm_script "kill \$(cat /run/$1.pid)"
}

# vm_wait NAME SECONDS: until it has ended; returns its exit status.
vm_wait()
{
	wait_for "$2" "$1 in the virtual machine" vm test -s "/run/$1.status" || return 1
	return "$(vm cat "/run/$1.status")"
}

vm_output()
{
	vm cat "/run/$1.output"
}
