# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# Whole gateways in network namespaces, for the demo and the smoke tests. Sourced after lib.sh.
#
# The standard world, built by world_create TENANT...; each box is a namespace, named after the node:
#
#	 red-a  10.0.0.2, fd00:a::2                         red-b  10.1.0.2, fd00:b::2
#	    \                                                   /
#	     gw-a 192.0.2.1 ───── internet ────── 198.51.100.1 gw-b
#	    /     2001:db8:a::1                2001:db8:b::1    \
#	 blue-a 10.0.0.2, fd00:a::2                         blue-b 10.1.0.2, fd00:b::2
#
# A gateway has the port "wan" (AF_XDP, shared with the kernel, which keeps its addresses) and a port
# for each tenant's site (AF_PACKET, on which the kernel has no address and answers nothing).

# shellcheck disable=SC2034 # for who sources this
WORLD=                         # folder with keys, sockets, states and logs
WORLD_BUILD=${KAIDO_BUILD:-$KAIDO_ROOT/build}
WORLD_TENANTS=()
WORLD_PORTS=()
WORLD_SITE_MTU=${WORLD_SITE_MTU:-1400} # of the hosts: what fits a tunnel over the 1500 of the WAN
WORLD_ENCAPSULATION=${WORLD_ENCAPSULATION:-esp}
WORLD_ESN=${WORLD_ESN:-true}
WORLD_SAMPLE_INTERVAL=${WORLD_SAMPLE_INTERVAL:-10}
WORLD_MEMORY=(--no-huge --memory 256)
WORLD_LAUNCH=() # a command that starts the processes
declare -A DATAPLANE_PID=() DATAPLANE_ARGS=() KAIDOD_PID=()

# --- nodes and wires --------------------------------------------------------------------------

# on NODE COMMAND [ARG...]
on()
{
	local node=$1

	shift
	ip netns exec "$KAIDO_TAG-$node" "$@"
}

# node_create NODE...: without duplicate address detection, so that addresses work at once.
node_create()
{
	local node created

	for node in "$@"; do
		netns_create created "$node"
		on "$node" sysctl -q -w net.ipv6.conf.default.accept_dad=0 \
			net.ipv6.conf.all.accept_dad=0 net.ipv4.ping_group_range='0 0'
	done
}

# wire NODE1 DEV1 NODE2 DEV2 [MTU]
wire()
{
	veth_create "$KAIDO_TAG-$1" "$2" "$KAIDO_TAG-$3" "$4" "${5:-1500}"
}

# address_add NODE DEV ADDRESS...
address_add()
{
	local node=$1 dev=$2 address

	shift 2
	for address in "$@"; do
		if [[ $address == *:* ]]; then
			ip -n "$KAIDO_TAG-$node" addr add "$address" dev "$dev" nodad
		else
			ip -n "$KAIDO_TAG-$node" addr add "$address" dev "$dev"
		fi
	done
}

# route_add NODE VIA...: default routes.
route_add()
{
	local node=$1 via

	shift
	for via in "$@"; do
		ip -n "$KAIDO_TAG-$node" route add default via "$via"
	done
}

# A device that belongs to the dataplane alone: the kernel neither answers nor takes what comes in.
tenant_device()
{
	local node=$1 dev=$2

	on "$node" sysctl -q -w "net.ipv6.conf.$dev.disable_ipv6=1" "net.ipv4.conf.$dev.rp_filter=1"
	ip -n "$KAIDO_TAG-$node" link set "$dev" arp off
}

# site_create TENANT SITE NETWORK-PREFIX4 PREFIX6: a host, wired to the gateway of its site.
site_create()
{
	local host=$1-$2 gateway=gw-$2 tenant=$1

	node_create "$host"
	wire "$host" eth0 "$gateway" "$tenant" "$WORLD_SITE_MTU"
	tenant_device "$gateway" "$tenant"
	address_add "$host" eth0 "$3.2/24" "$4::2/64"
	route_add "$host" "$3.1" "$4::1"
}

# internet_create: a router between the two gateways' WAN subnets.
internet_create()
{
	node_create internet gw-a gw-b
	wire gw-a wan internet wan-a
	wire gw-b wan internet wan-b
	on internet sysctl -q -w net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
	address_add gw-a wan 192.0.2.1/24 2001:db8:a::1/64
	address_add gw-b wan 198.51.100.1/24 2001:db8:b::1/64
	address_add internet wan-a 192.0.2.254/24 2001:db8:a::ff/64
	address_add internet wan-b 198.51.100.254/24 2001:db8:b::ff/64
	route_add gw-a 192.0.2.254 2001:db8:a::ff
	route_add gw-b 198.51.100.254 2001:db8:b::ff
}

# --- keys and configuration -------------------------------------------------------------------

# key_create NAME BITS: an AES-GCM key and its salt in $WORLD/keys/NAME.
key_create()
{
	(umask 077 && openssl rand -hex $(($2 / 8 + 4)) >"$WORLD/keys/$1")
}

# What tenants differ in: outer family, key bits, first digit of the SPIs.
tenant_outer()
{
	case $1 in blue) echo 6 ;; *) echo 4 ;; esac
}

tenant_bits()
{
	case $1 in blue) echo 256 ;; *) echo 128 ;; esac
}

# spi_of TENANT FROM-SITE [GENERATION]
spi_of()
{
	local tenant from

	case $1 in blue) tenant=2 ;; *) tenant=1 ;; esac
	case $2 in a) from=1 ;; b) from=2 ;; esac
	printf '0x%d%02d%d' "$tenant" "${3:-0}" "$from"
}

wan_address()
{
	case $1$2 in
	a4) echo 192.0.2.1 ;;
	a6) echo 2001:db8:a::1 ;;
	b4) echo 198.51.100.1 ;;
	b6) echo 2001:db8:b::1 ;;
	esac
}

site_networks()
{
	case $1 in
	a) echo '10.0.0.0/24, "fd00:a::/64"' ;;
	b) echo '10.1.0.0/24, "fd00:b::/64"' ;;
	esac
}

site_gateway()
{
	case $1 in
	a) echo '10.0.0.1/24, "fd00:a::1/64"' ;;
	b) echo '10.1.0.1/24, "fd00:b::1/64"' ;;
	esac
}

other_site()
{
	case $1 in a) echo b ;; b) echo a ;; esac
}

# world_config SITE: the configuration of its gateway, as YAML.
world_config()
{
	local site=$1 tenant

	printf 'version: 1\n\nunderlay:\n'
	printf '  - {name: wan, port: wan, netdev: wan}\n'
	printf '\ntenants:\n'
	for tenant in "${WORLD_TENANTS[@]}"; do
		tenant_config "$site" "$tenant"
	done
}

tenant_config()
{
	local site=$1 tenant=$2 peer outer

	peer=$(other_site "$site")
	outer=$(tenant_outer "$tenant")
	cat <<-END
		  - name: $tenant
		    label: "Tenant ${tenant}, site ${site^^}"
		    service: wan
		    attachments:
		      - name: office
		        port: $tenant
		        mtu: $WORLD_SITE_MTU
		        addresses: [$(site_gateway "$site")]
		    tunnels:
		      - name: site-$peer
		        label: "to site ${peer^^}"
		        local: "$(wan_address "$site" "$outer")"
		        remote: "$(wan_address "$peer" "$outer")"
		        encapsulation: $WORLD_ENCAPSULATION
		        networks: [$(site_networks "$peer")]
		        sas:
		          - {direction: in, spi: $(spi_of "$tenant" "$peer"), key-file: "$WORLD/keys/$tenant.$peer", esn: $WORLD_ESN}
		          - {direction: out, spi: $(spi_of "$tenant" "$site"), key-file: "$WORLD/keys/$tenant.$site", esn: $WORLD_ESN}
	END
}

# --- the two processes of a gateway -----------------------------------------------------------

# gateway_create GATEWAY OPTION...: its folder; the options are those of kaido-dataplane.
gateway_create()
{
	local gateway=$1

	shift
	mkdir -m 700 "$WORLD/$gateway" "$WORLD/$gateway/state"
	DATAPLANE_ARGS[$gateway]=$(printf '%s\n' "$@")
}

# Small tables, one worker, and sleep where there is nothing to do: two gateways share two CPUs with
# all else. Long rings and a higher priority make up for the time in which others have the CPU.
dataplane_start()
{
	local gateway=$1 dir=$WORLD/$1 args started

	mapfile -t args <<<"${DATAPLANE_ARGS[$gateway]}"
	spawn started "$dir/dataplane.log" "${WORLD_LAUNCH[@]}" nice -n -10 \
		ip netns exec "$KAIDO_TAG-$gateway" "$WORLD_BUILD/dataplane/kaido-dataplane" \
		--socket "$dir/dataplane.sock" \
		--main-cpu 0 --workers 1 --idle-sleep 200 --ring 2048 "${WORLD_MEMORY[@]}" \
		--max-tenants 64 --max-attachments 64 --max-tunnels 256 --max-sas 1024 \
		--max-neighbours 1024 --route-memory 64 "${args[@]}"
	DATAPLANE_PID[$gateway]=$started
}

kaidod_start()
{
	local gateway=$1 dir=$WORLD/$1 started

	spawn started "$dir/kaidod.log" "${WORLD_LAUNCH[@]}" ip netns exec "$KAIDO_TAG-$gateway" \
		"$WORLD_BUILD/control/kaidod" --state "$dir/state" --socket "$dir/kaidod.sock" --vici "$dir/charon.vici" \
		--dataplane "$dir/dataplane.sock" --master-key "$dir/master.key" \
		--sample-interval "$WORLD_SAMPLE_INTERVAL"
	KAIDOD_PID[$gateway]=$started
}

# kaidoctl of a gateway: ctl GATEWAY ARG...
ctl()
{
	local gateway=$1

	shift
	"$WORLD_BUILD/control/kaidoctl" --socket "$WORLD/$gateway/kaidod.sock" "$@"
}

# status_of GATEWAY FILTER: of `show status`, by jq.
status_of()
{
	ctl "$1" --json show status | jq -r "$2"
}

# kaidod answers.
kaidod_answers()
{
	ctl "$1" --json show status >/dev/null 2>&1
}

# What is desired is what the dataplane does.
gateway_converged()
{
	[[ $(status_of "$1" '.dataplane.connected and .dataplane.converged' 2>/dev/null) == true ]]
}

# kaidod has seen that the dataplane is gone; until then it may still say that it has converged.
dataplane_is_missed()
{
	[[ $(status_of "$1" .dataplane.connected 2>/dev/null) == false ]]
}

gateway_start()
{
	dataplane_start "$1"
	kaidod_start "$1"
	wait_for 60 "kaidod of $1" kaidod_answers "$1"
	wait_for 60 "the dataplane of $1" gateway_converged "$1"
}

# process_kill PID: at once, without a chance to tidy up. The caller's own child only.
process_kill()
{
	process_is_child "$1" || return 0
	kill -KILL "$1"
	wait "$1" 2>/dev/null || true
}

# gateway_report GATEWAY: all that it says of itself.
gateway_report()
{
	local topic

	for topic in status tunnels sas drops counters attachments neighbours routes ports workers; do
		echo "--- kaidoctl show $topic"
		ctl "$1" show $topic 2>&1 || true
	done
}

# gateway_logs: for a failure's sake.
gateway_logs()
{
	local log gateway

	for gateway in "${!KAIDOD_PID[@]}"; do
		echo "----- $gateway"
		gateway_report "$gateway"
	done

	for log in "$WORLD"/gw-*/*.log; do
		[[ -s $log ]] || continue
		echo "----- ${log#"$WORLD/"}"
		tail -n 40 "$log"
	done
}

# --- the standard world -----------------------------------------------------------------------

# world_folder: where keys and sockets are; short, for a socket's path has 107 characters.
world_folder()
{
	WORLD=$(mktemp -d /tmp/kaido.XXXXXX)
	at_exit rm -rf "$WORLD"
	mkdir -m 700 "$WORLD/keys"
}

# world_create TENANT...: nodes, wires, keys; nothing runs yet.
world_create()
{
	local tenant site

	WORLD_TENANTS=("$@")
	world_folder
	internet_create
	for tenant in "$@"; do
		site_create "$tenant" a 10.0.0 fd00:a
		site_create "$tenant" b 10.1.0 fd00:b
		for site in a b; do
			key_create "$tenant.$site" "$(tenant_bits "$tenant")"
		done
	done
	tenant_ports
	for site in a b; do
		gateway_create "gw-$site" --port wan=net_af_xdp0,iface=wan "${WORLD_PORTS[@]}"
		world_config "$site" >"$WORLD/gw-$site/config.yaml"
	done
}

# Options of kaido-dataplane for the tenants' ports, into WORLD_PORTS.
tenant_ports()
{
	local number

	WORLD_PORTS=()
	for number in "${!WORLD_TENANTS[@]}"; do
		WORLD_PORTS+=(--port
			"${WORLD_TENANTS[number]}=net_af_packet$number,iface=${WORLD_TENANTS[number]},framecnt=2048")
	done
}

# world_start: both gateways, each with its configuration applied.
world_start()
{
	local site

	for site in a b; do
		dataplane_start "gw-$site"
		kaidod_start "gw-$site"
	done
	for site in a b; do
		wait_for 60 "kaidod of gw-$site" kaidod_answers "gw-$site"
		ctl "gw-$site" apply --yes "$WORLD/gw-$site/config.yaml" >>"$WORLD/gw-$site/apply.log"
	done
	for site in a b; do
		wait_for 60 "gw-$site to converge" gateway_converged "gw-$site"
	done
}

# --- traffic ----------------------------------------------------------------------------------

# pings FROM TO COUNT [OPTION...]: how many answers came. Options are those of count-pings.
pings()
{
	on "$1" "$KAIDO_ROOT/scripts/count-pings" "${@:2}"
}

# Neighbours and the first packets' way: until one ping came back.
reachable()
{
	[[ $(pings "$1" "$2" 1 -W 1) == 1 ]]
}

# Something listens on a TCP port: listens NODE PORT
listens()
{
	on "$1" ss -Hltn "sport = :$2" | grep -q .
}

# ping_start VARIABLE FILE FROM TO COUNT [OPTION...]: the same, meanwhile; the number is in FILE
# when the process has ended.
ping_start()
{
	local -n ping_started=$1
	local file=$2

	spawn ping_started "$file" pings "${@:3}"
}

# --- what the gateways say of themselves --------------------------------------------------------

# counter_of GATEWAY TENANT NAME [TUNNEL]: a total of the tenant's tunnels (counters_tunnel of counters.h).
counter_of()
{
	ctl "$1" --json show tunnels "$2" | jq --arg tunnel "${4:-}" \
		"[.tunnels[] | select(\$tunnel == \"\" or .name == \$tunnel).counters.$3] | add // 0"
}

# drops_of GATEWAY TENANT [REASON]
drops_of()
{
	ctl "$1" --json show counters "$2" |
		jq --arg reason "${3:-}" '.tenants[0].drops // {} | to_entries |
			map(select($reason == "" or .key == $reason).value) | add // 0'
}

# balance_of GATEWAY TENANT: packets in + fragments - out - local - drops; 0 once none is on its way.
balance_of()
{
	local tries=600 balance

	while :; do
		balance=$(ctl "$1" --json show counters "$2" | jq '.tenants[0] |
			.in_packets + .fragments - .out_packets - .local_packets -
			([.drops[]?] | add // 0)')
		[[ $balance != 0 ]] && ((tries-- > 0)) || break
		sleep 0.1
	done
	echo "$balance"
}

# sequence_of GATEWAY TENANT DIRECTION: the highest of its SAs.
sequence_of()
{
	ctl "$1" --json show sas "$2" |
		jq --arg direction "$3" '[.sas[] | select(.direction == $direction).sequence] | max'
}

# spis_of GATEWAY TENANT: in order.
spis_of()
{
	ctl "$1" --json show sas "$2" | jq -r '[.sas[].spi] | sort | map(tostring) | join(" ")'
}

# --- rekey ------------------------------------------------------------------------------------

# rekey TENANT GENERATION: from the SAs of the generation before, with fresh keys. Who receives is
# ready before anybody sends; the old SAs go when nothing under them is on its way any more.
rekey()
{
	local tenant=$1 new=$2 old=$(($2 - 1)) site peer

	for site in a b; do
		key_create "$tenant.$site.$new" "$(tenant_bits "$tenant")"
	done
	for site in a b; do
		peer=$(other_site "$site")
		sa_add "$tenant" "$site" in "$(spi_of "$tenant" "$peer" "$new")" "$tenant.$peer.$new"
	done || return 1
	for site in a b; do
		sa_add "$tenant" "$site" out "$(spi_of "$tenant" "$site" "$new")" "$tenant.$site.$new"
	done || return 1
	sleep 1
	for site in a b; do
		wait_for 60 "what site $site sent under the old SA" \
			sa_arrived "$tenant" "$site" "$(spi_of "$tenant" "$site" "$old")" || return 1
	done
	for site in a b; do
		peer=$(other_site "$site")
		sa_delete "$tenant" "$site" out "$(spi_of "$tenant" "$site" "$old")"
		sa_delete "$tenant" "$site" in "$(spi_of "$tenant" "$peer" "$old")"
	done
}

# sa_arrived TENANT FROM-SITE SPI: the other site has accepted the last number that was sent. An SA that still sends
# may seem to have arrived as well.
sa_arrived()
{
	local next

	next=$(sa_sequence "gw-$2" "$1" out "$3") || return 1
	[[ $(sa_sequence "gw-$(other_site "$2")" "$1" in "$3") == $((next - 1)) ]]
}

# sa_sequence GATEWAY TENANT DIRECTION SPI: the next number to send, or the highest that was accepted.
sa_sequence()
{
	ctl "$1" --json show sas "$2" | jq -e --arg direction "$3" --argjson spi "$(($4))" \
		'.sas[] | select(.direction == $direction and .spi == $spi).sequence'
}

# sa_add TENANT SITE DIRECTION SPI KEY
sa_add()
{
	ctl "gw-$2" sa add "$1/site-$(other_site "$2")" "direction=$3" "spi=$4" \
		"key-file=$WORLD/keys/$5" "esn=$WORLD_ESN" >>"$WORLD/gw-$2/rekey.log"
}

# sa_delete TENANT SITE DIRECTION SPI
sa_delete()
{
	ctl "gw-$2" sa delete "$1/site-$(other_site "$2")" "$3" "$4" --yes >>"$WORLD/gw-$2/rekey.log"
}

# --- what crosses the Internet ------------------------------------------------------------------

# wire_watch: counts from now on what the router forwards.
wire_watch()
{
	on internet nft -f - <<-'END'
		table inet wire
		delete table inet wire
		table inet wire {
			counter wire_esp {}
			counter wire_udp {}
			counter wire_clear {}
			chain forward {
				type filter hook forward priority 0
				meta l4proto esp counter name wire_esp
				udp sport 4500 udp dport 4500 counter name wire_udp
				ip saddr 10.0.0.0/8 counter name wire_clear
				ip daddr 10.0.0.0/8 counter name wire_clear
				ip6 saddr fd00::/8 counter name wire_clear
				ip6 daddr fd00::/8 counter name wire_clear
			}
		}
	END
}

# wire_packets CLASS: esp, udp (on port 4500), clear (tenants' addresses).
wire_packets()
{
	on internet nft -j list counter inet wire "wire_$1" | jq '.nftables[] | .counter? // empty | .packets'
}
