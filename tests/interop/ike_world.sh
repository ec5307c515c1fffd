# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# What the tests of IKE in namespaces share: one gateway with its charon, and peers around the Internet, each
# with a charon of its own that has ESP in userspace (charon.sh). Sourced, never run.
#
#	 red-a  10.0.0.2 ---\                               /--- branch 198.51.100.1, 2001:db8:b::1
#	        fd00:a::2    gw-a 192.0.2.1 ==== internet ======= ... (ike_node)
#	 blue-a the same ---/  2001:db8:a::1                \=== nat 203.0.113.1 --- 192.168.7.N (ike_nat, ike_behind)

source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../smoke/lib.sh"
source "$KAIDO_ROOT/scripts/ike.sh"
source "$KAIDO_ROOT/scripts/pki.sh"
source "$KAIDO_ROOT/tests/interop/charon.sh"

# ike_world TENANT...: nodes, wires and what the gateway's processes need; nothing runs yet.
ike_world()
{
	local tenant

	# shellcheck disable=SC2034 # of world.sh
	WORLD_TENANTS=("$@")
	WORLD_SITE_MTU=1500
	tests_begin
	world_folder
	node_create internet gw-a
	wire gw-a wan internet wan-a
	on internet sysctl -q -w net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
	address_add gw-a wan 192.0.2.1/24 2001:db8:a::1/64
	address_add internet wan-a 192.0.2.254/24 2001:db8:a::ff/64
	route_add gw-a 192.0.2.254 2001:db8:a::ff
	for tenant in "$@"; do
		site_create "$tenant" a 10.0.0 fd00:a
	done
	tenant_ports
	gateway_create gw-a --port wan=net_af_xdp0,iface=wan "${WORLD_PORTS[@]}"
	ike_begin
	pki_create "$WORLD/pki"
	wire_watch
}

# ike_world_start: the gateway's processes; its configuration is read from standard input.
ike_world_start()
{
	cat >"$WORLD/gw-a/config.yaml"
	dataplane_start gw-a
	kaidod_start gw-a
	ike_start gw-a
	wait_for 60 "kaidod" kaidod_answers gw-a
	ike_apply
}

# ike_apply: the gateway's configuration file.
ike_apply()
{
	ctl gw-a apply --yes "$WORLD/gw-a/config.yaml" >>"$WORLD/gw-a/apply.log"
	wait_for 60 "the gateway to converge" gateway_converged gw-a
}

# ike_underlay: the configuration's first lines; ike_tenant NAME: of a tenant with its site.
ike_underlay()
{
	printf 'version: 1\nunderlay:\n  - {name: wan, port: wan, netdev: wan}\ntenants:\n'
}

ike_tenant()
{
	cat <<-END
		  - name: $1
		    attachments:
		      - name: office
		        port: $1
		        mtu: $WORLD_SITE_MTU
		        addresses: [10.0.0.1/24, "fd00:a::1/64"]
	END
}

# --- peers ------------------------------------------------------------------------------------

# ike_node NAME ADDRESS... : wired to the Internet, whose address there ends in .254 or ::ff.
ike_node()
{
	local node=$1 address

	shift
	node_create "$node"
	wire "$node" wan internet "$node"
	for address in "$@"; do
		address_add "$node" wan "$address/$(ike_prefix "$address")"
		address_add internet "$node" "$(ike_router "$address")/$(ike_prefix "$address")"
		route_add "$node" "$(ike_router "$address")"
	done
}

ike_prefix()
{
	case $1 in *:*) echo 64 ;; *) echo 24 ;; esac
}

ike_router()
{
	case $1 in *:*) echo "${1%::*}::ff" ;; *) echo "${1%.*}.254" ;; esac
}

# ike_nat NAME ADDRESS: a node that hides those behind it, and gives their packets other ports.
ike_nat()
{
	ike_node "$1" "$2"
	on "$1" sysctl -q -w net.ipv4.ip_forward=1
	node_bridge "$1"
	ike_nat_ports "$1" 20000-29999
}

# node_bridge NAT: 192.168.7.1, to which those behind it are wired.
node_bridge()
{
	ip -n "$KAIDO_TAG-$1" link add lan type bridge
	ip -n "$KAIDO_TAG-$1" link set lan up
	address_add "$1" lan 192.168.7.1/24
}

# ike_nat_ports NAT PORTS: of packets of new flows from now on.
ike_nat_ports()
{
	on "$1" nft -f - <<-END
		table ip nat {}
		delete table ip nat
		table ip nat {
			chain postrouting {
				type nat hook postrouting priority srcnat
				oif wan meta l4proto udp masquerade to :$2
				oif wan masquerade
			}
		}
	END
}

# ike_behind NAT NODE N: 192.168.7.N.
ike_behind()
{
	node_create "$2"
	wire "$2" wan "$1" "$2"
	ip -n "$KAIDO_TAG-$1" link set "$2" master lan
	address_add "$2" wan "192.168.7.$3/24"
	route_add "$2" 192.168.7.1
}

# --- what is seen -----------------------------------------------------------------------------

# events_of KIND [TENANT] FILTER: of all events of this kind, by jq; each line is one.
events_of()
{
	local kind=$1

	shift
	ctl gw-a --json show events "${@:1:$#-1}" | jq -r --arg kind "$kind" ".events[] | select(.kind == \$kind) | ${*: -1}"
}

# event_comes KIND FILTER WANTED: one of the lines.
event_comes()
{
	events_of "$1" "$2" | grep -qxF -- "$3"
}

# check_event WHAT KIND FILTER WANTED
check_event()
{
	wait_for 30 "the event $2" event_comes "$2" "$3" "$4" || true
	check_that "$1" event_comes "$2" "$3" "$4"
}

# tunnel_counter TENANT TUNNEL NAME
tunnel_counter()
{
	ctl gw-a --json show tunnels "$1" | jq --arg name "$2" --arg counter "$3" \
		'.tunnels[] | select(.name == $name).counters[$counter]'
}

# sas_of TENANT TUNNEL: how many SAs the dataplane has for it, "IN OUT".
sas_of()
{
	ctl gw-a --json show sas "$1" | jq -r --arg tunnel "$2" '[.sas[] | select(.tunnel == $tunnel).direction] |
		"\(map(select(. == "in")) | length) \(map(select(. == "out")) | length)"'
}

# --- pings while something happens -------------------------------------------------------------

# pinging NAME FROM TO [OPTION...]: a ping every 10 ms until pinged is called.
declare -A PINGING=()
pinging()
{
	local started

	: >"$WORLD/pinged.$1"
	touch "$WORLD/pinging.$1"
	ping_start started "$WORLD/pinged.$1" "$2" "$3" 65535 -i 0.01 --while "$WORLD/pinging.$1" "${@:4}"
	PINGING[$1]=$started
}

# pinging_end NAME...: those are the last ones.
pinging_end()
{
	rm -f "${@/#/$WORLD/pinging.}"
}

# pinged NAME: waits for the last answers; how many requests there were, how many had none, and for how many
# milliseconds there was none are in REQUESTS, LOST and OUTAGE.
pinged()
{
	local answers

	pinging_end "$1"
	wait "${PINGING[$1]}" || true
	read -r answers _ REQUESTS OUTAGE _ <"$WORLD/pinged.$1"
	LOST=$((REQUESTS - answers))
}
# shellcheck disable=SC2034 # OUTAGE is for tests
REQUESTS='' LOST='' OUTAGE=''

# check_pinged WHAT NAME...: every one was answered.
check_pinged()
{
	local what=$1 name

	pinging_end "${@:2}"
	for name in "${@:2}"; do
		pinged "$name"
		check "$what: pings $name, lost of $REQUESTS" "$LOST" 0
	done
}
