# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# What the scripts share: messages, clean-up on every way out, child processes, network namespaces
# and hugepages. Sourced, never run:
#
#	set -euo pipefail
#	source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/lib.sh"
#
# Sourcing it sets KAIDO_ROOT, puts /dev/null on stdin (which may be closed) and installs the traps.

KAIDO_ROOT=$(dirname "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")")
export KAIDO_ROOT
export LC_ALL=C.UTF-8
PATH=$PATH:/usr/sbin:/sbin
exec </dev/null

# --- messages ---------------------------------------------------------------------------------

notice()
{
	printf '%s: %s\n' "${0##*/}" "$*" >&2
}

die()
{
	notice "$@"
	exit 1
}

require_root()
{
	[[ $EUID -eq 0 ]] || die "must run as root; try: sudo $0"
}

# --- clean-up ---------------------------------------------------------------------------------
#
# at_exit COMMAND [ARG...] is run when the script ends in whatever way short of SIGKILL, the last
# one first. Commands run with errors ignored, and in the shell that registered them only.

CLEANUP_STACK=()
CLEANUP_OWNER=$BASHPID

at_exit()
{
	CLEANUP_STACK+=("$(printf '%q ' "$@")")
}

cleanup_run()
{
	local status=$? i

	[[ $BASHPID == "$CLEANUP_OWNER" ]] || return "$status"
	trap '' INT TERM HUP
	set +e
	for ((i = ${#CLEANUP_STACK[@]} - 1; i >= 0; i--)); do
		eval "${CLEANUP_STACK[i]}"
	done
	CLEANUP_STACK=()
	return "$status"
}

trap cleanup_run EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

# Makes a directory that goes with the script: scratch_dir VARIABLE
scratch_dir()
{
	local -n scratch_result=$1

	scratch_result=$(mktemp -d "${TMPDIR:-/tmp}/kaido-${0##*/}.XXXXXX")
	at_exit rm -rf "$scratch_result"
}

# --- processes --------------------------------------------------------------------------------
#
# A process is ended by its id and only while it is a child of this shell: an id that was recycled
# can never be hit.

# spawn VARIABLE LOG COMMAND [ARG...]: starts a child that is stopped at exit. Not in a subshell (behind a
# pipe), where nobody would.
spawn()
{
	[[ $BASHPID == "$CLEANUP_OWNER" ]] || die "spawn in a subshell: $3"
	local -n spawn_result=$1
	local log=$2

	shift 2
	"$@" >>"$log" 2>&1 &
	spawn_result=$!
	at_exit process_stop "$spawn_result"
}

process_is_child()
{
	local parent

	parent=$(awk '$1 == "PPid:" { print $2 }' "/proc/$1/status" 2>/dev/null) || return 1
	[[ $parent == "$BASHPID" ]]
}

# process_stop PID [SECONDS]: SIGTERM to it and its descendants (a shell function runs its command in
# one), then SIGKILL to what is still there after that many seconds. Returns the child's exit
# status; 0 when it is gone already.
process_stop()
{
	local pid=$1 tries=$((${2:-10} * 10)) status=0 all left

	process_is_child "$pid" || return 0
	mapfile -t all < <(process_tree "$pid")
	kill -TERM "${all[@]}" 2>/dev/null || true
	while :; do
		mapfile -t left < <(process_running "${all[@]}")
		((${#left[@]} && tries-- > 0)) || break
		sleep 0.1
	done
	if ((${#left[@]})); then
		notice "process ${left[*]} did not stop; killed"
		kill -KILL "${left[@]}" 2>/dev/null || true
	fi
	wait "$pid" 2>/dev/null || status=$?
	return "$status"
}

# A process and its descendants.
process_tree()
{
	local child

	echo "$1"
	for child in $(pgrep -P "$1"); do
		process_tree "$child"
	done
}

# Those of some processes that run still, zombies left out.
process_running()
{
	local pid

	for pid in "$@"; do
		if process_is_running "$pid"; then
			echo "$pid"
		fi
	done
}

# Not a zombie.
process_is_running()
{
	local state

	state=$(awk '$1 == "State:" { print $2 }' "/proc/$1/status" 2>/dev/null) || return 1
	[[ -n $state && $state != Z && $state != X ]]
}

# wait_for SECONDS WHAT COMMAND [ARG...]: until the command succeeds.
wait_for()
{
	local tries=$(($1 * 10)) what=$2

	shift 2
	until "$@" >/dev/null 2>&1; do
		if ((tries-- <= 0)); then
			notice "waited in vain for $what"
			return 1
		fi
		sleep 0.1
	done
}

# --- network namespaces -----------------------------------------------------------------------
#
# Names begin with KAIDO_TAG, so that several runs on one machine don't meet and a test can tell
# what a script left behind. Interface names are at most 15 characters: make them short.

KAIDO_TAG=${KAIDO_TAG:-kaido-$$}
export KAIDO_TAG

# netns_create VARIABLE NAME: a namespace with its loopback up, deleted at exit.
netns_create()
{
	local -n netns_result=$1

	netns_result=$KAIDO_TAG-$2
	ip netns add "$netns_result"
	at_exit netns_delete "$netns_result"
	ip -n "$netns_result" link set lo up
}

netns_delete()
{
	ip netns delete "$1" 2>/dev/null || true
}

# veth_create NS1 DEV1 NS2 DEV2 [MTU]: a pair, up, without the offloads that leave packets half
# made (checksums, segments) for a device that isn't there.
veth_create()
{
	local ns1=$1 dev1=$2 ns2=$3 dev2=$4 mtu=${5:-1500} end ns dev

	ip -n "$ns1" link add "$dev1" mtu "$mtu" type veth peer name "$dev2" netns "$ns2" mtu "$mtu"
	for end in "$ns1 $dev1" "$ns2 $dev2"; do
		read -r ns dev <<<"$end"
		ip netns exec "$ns" ethtool -K "$dev" rx off tx off tso off gso off gro off \
			>/dev/null 2>&1 || true
		ip -n "$ns" link set "$dev" up
	done
}

# --- hugepages --------------------------------------------------------------------------------
#
# hugepages_reserve N asks for N pages of 2 MiB beside those in use and gives back at exit what it
# took. Where the machine doesn't allow it, it says so and the process runs with --no-huge.
# Afterwards MEMORY_ARGS holds the arguments for kaido-dataplane. What a killed script left is
# given back by the next one: each reservation is a file named after its owner.

HUGEPAGES_SYSFS=/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages
HUGEPAGES_STATE=/run/kaido-hugepages
# shellcheck disable=SC2034 # for who sources this
MEMORY_ARGS=(--no-huge)

hugepages_reserve()
{
	local wanted=$1 before after

	# shellcheck disable=SC2034
	MEMORY_ARGS=(--no-huge)
	if ! [[ -w $HUGEPAGES_SYSFS ]] || ! mkdir -p "$HUGEPAGES_STATE" 2>/dev/null; then
		notice "no hugepages may be reserved here; running with --no-huge"
		return 0
	fi
	exec {HUGEPAGES_LOCK}>"$HUGEPAGES_STATE/lock"
	flock "$HUGEPAGES_LOCK"
	hugepages_reclaim
	before=$(<"$HUGEPAGES_SYSFS")
	echo $((before + wanted)) 2>/dev/null >"$HUGEPAGES_SYSFS" || true
	after=$(<"$HUGEPAGES_SYSFS")
	echo $((after - before)) >"$HUGEPAGES_STATE/$$"
	exec {HUGEPAGES_LOCK}>&-
	at_exit hugepages_release
	if ((after - before < wanted)); then
		notice "only $((after - before)) of $wanted hugepages could be had; running with --no-huge"
		hugepages_release
		return 0
	fi
	# shellcheck disable=SC2034
	MEMORY_ARGS=()
}

hugepages_release()
{
	local taken

	[[ -f $HUGEPAGES_STATE/$$ ]] || return 0
	exec {HUGEPAGES_LOCK}>"$HUGEPAGES_STATE/lock"
	flock "$HUGEPAGES_LOCK"
	taken=$(<"$HUGEPAGES_STATE/$$")
	echo $(($(<"$HUGEPAGES_SYSFS") - taken)) >"$HUGEPAGES_SYSFS"
	rm -f "$HUGEPAGES_STATE/$$"
	exec {HUGEPAGES_LOCK}>&-
}

# Under the lock: gives back what owners that are gone had taken.
hugepages_reclaim()
{
	local file taken

	for file in "$HUGEPAGES_STATE"/[0-9]*; do
		[[ -f $file ]] || continue
		kill -0 "${file##*/}" 2>/dev/null && continue
		taken=$(<"$file")
		echo $(($(<"$HUGEPAGES_SYSFS") - taken)) >"$HUGEPAGES_SYSFS"
		rm -f "$file"
	done
}

# --- sources ----------------------------------------------------------------------------------

# source_files NAME-PATTERN...: the project's own files of these names, without what was built.
source_files()
{
	local names=() pattern

	for pattern in "$@"; do
		names+=(-o -name "$pattern")
	done
	(cd "$KAIDO_ROOT" && find . \( -name .git -o -type d \( -name build -o -name 'build-*' \
		-o -name __pycache__ \) \) -prune -o -type f \( "${names[@]:1}" \) -printf '%P\n' | sort)
}
