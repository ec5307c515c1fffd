# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# What the tests against Linux XFRM share. One virtual machine plays all that is around the gateway:
#
#	              virtual machine                                    host
#	+--------------------------------------------+       +------------------------------+
#	| peer ---------------- router          eth0 =========== wan  192.0.2.1             |
#	|  198.51.100.1         192.0.2.254          |       |        2001:db8:a::1   gw-a  |
#	|  2001:db8:b::1        2001:db8:a::ff       |       |                              |
#	|  10.1.N.2, fd00:b:N::2 (tunnel N)          |       |   kaidod, kaido-dataplane    |
#	| red   10.0.0.2, fd00:a::2   VLAN 101 \     |       |                              |
#	|                                       eth1 =========== lan  10.0.0.1, fd00:a::1   |
#	| blue  10.0.0.2, fd00:a::2   VLAN 102 /     |       |                              |
#	+--------------------------------------------+       +------------------------------+
#
# Each box of it is a network namespace, so what goes from red to peer has left the machine and come back
# as ESP. Both ports are AF_XDP; the host shares "wan" and sees nothing of "lan". Sourced, never run.

source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../smoke/lib.sh"
source "$KAIDO_ROOT/tests/interop/vm.sh"

INTEROP_TENANTS=(red blue)
declare -A TENANT_MTU=([red]=1500 [blue]=1500) # of the attachments
PEER_4=198.51.100.1 PEER_6=2001:db8:b::1

# inside NODE COMMAND [ARG...]: in a namespace of the virtual machine.
inside()
{
	vm ip netns exec "$@"
}

# inside_pings FROM TO COUNT [OPTION...]: how many answers came; options of vm/count_pings.c.
inside_pings()
{
	local from=$1 to=$2 count=$3

	shift 3
	inside "$from" count_pings "$@" "$to" "$count"
}

inside_reachable()
{
	[[ $(inside_pings "$@" 1 -W 1) == 1 ]]
}

# inside_pings_all COUNT: pings at the same time, one for each line "FROM TO [OPTION...]" of standard
# input; prints how many answers came to each, in a line.
inside_pings_all()
{
	vm_script "
		n=0
		rm -f /tmp/pings.*
		while read -r from to options; do
			n=\$((n + 1))
			ip netns exec \$from count_pings \$options \$to $1 >/tmp/pings.\$n </dev/null &
		done <<-END
			$(cat)
		END
		wait
		for i in \$(seq \$n); do
			cat /tmp/pings.\$i
		done"
}

# --- the world --------------------------------------------------------------------------------

# The namespaces of the machine and what is between them. The first one, which has the ports before
# they go elsewhere, says nothing on them; and no host reports groups to routers or looks for some, so that
# the gateway has nothing to drop that a test did not send.
guest_world()
{
	vm_script "$(
		cat <<-END
			set -e
			for node in peer router red blue; do
				ip netns add \$node
				ip -n \$node link set lo up
				ip netns exec \$node sysctl -q -w net.ipv6.conf.all.accept_dad=0 \
					net.ipv6.conf.default.accept_dad=0 net.ipv4.ip_forward=1 \
					net.ipv6.conf.all.forwarding=1 net.ipv4.icmp_ratelimit=0
			done
			sysctl -q -w net.ipv6.conf.eth1.disable_ipv6=1
			ip link set eth0 netns router
			ip link add peer netns router type veth peer name wan netns peer
			ip link set eth1 up
			vlan=101
			for tenant in red blue; do
				ip link add link eth1 name lan netns \$tenant type vlan id \$vlan
				vlan=\$((vlan + 1))
			done
			ip -n router -batch - <<-BATCH
				link set eth0 up
				link set peer up
				addr add 192.0.2.254/24 dev eth0
				addr add 2001:db8:a::ff/64 dev eth0 nodad
				addr add 198.51.100.254/24 dev peer
				addr add 2001:db8:b::ff/64 dev peer nodad
			BATCH
			ip -n peer -batch - <<-BATCH
				link set wan up
				addr add $PEER_4/24 dev wan
				addr add $PEER_6/64 dev wan nodad
				route add default via 198.51.100.254
				route add default via 2001:db8:b::ff
				link add inner type dummy
				link set inner up
			BATCH
			for tenant in red blue; do
				ip netns exec \$tenant nft -f - <<-RULES
					table ip6 quiet {
						chain output {
							type filter hook output priority 0
							icmpv6 type { mld2-listener-report, nd-router-solicit } drop
						}
					}
				RULES
				ip -n \$tenant -batch - <<-BATCH
					link set lan up
					addr add 10.0.0.2/24 dev lan
					addr add fd00:a::2/64 dev lan nodad
					route add default via 10.0.0.1
					route add default via fd00:a::1
				BATCH
			done
		END
	)"
}

# interop_begin [PROGRAM...]: the machine, with these programs of the host, and the gateway's processes,
# which have no configuration yet.
interop_begin()
{
	tests_begin
	vm_program nft "$@"
	world_folder
	node_create gw-a
	vm_start "$KAIDO_TAG-gw-a" wan lan
	tenant_device gw-a lan
	address_add gw-a wan 192.0.2.1/24 2001:db8:a::1/64
	route_add gw-a 192.0.2.254 2001:db8:a::ff
	# On a busy machine it takes long until an SA that was negotiated is there.
	gateway_create gw-a --port wan=net_af_xdp0,iface=wan \
		--port lan=net_af_xdp1,iface=lan,xdp_prog=take --early-ms 10000
	dataplane_start gw-a
	kaidod_start gw-a
	guest_world
	wait_for 60 "kaidod" kaidod_answers gw-a
}

# --- tunnels ----------------------------------------------------------------------------------
#
# A tunnel has a number N, from which its SPIs, the names of its keys and its networks at the peer's side
# (10.1.N.0/24, fd00:b:N::/64) follow. What tunnels differ in is in these, by number.

# shellcheck disable=SC2034 # some are for who sources this
declare -A TUNNEL_TENANT=() TUNNEL_OUTER=() TUNNEL_BITS=() TUNNEL_ENCAPSULATION=() TUNNEL_ESN=()
declare -A TUNNEL_MORE=()  # lines of YAML
declare -A TUNNEL_SITE=()  # another N for the networks: tenants may have the same
declare -A TUNNEL_IF_ID=() # an xfrm interface's
declare -A TUNNEL_REMOTE=() # where the gateway finds the peer, if it is behind a NAT
TUNNELS=()

# tunnel N TENANT OUTER-FAMILY BITS ENCAPSULATION [ESN]
tunnel()
{
	local n=$1

	TUNNELS+=("$n")
	# shellcheck disable=SC2034
	TUNNEL_TENANT[$n]=$2 TUNNEL_OUTER[$n]=$3 TUNNEL_BITS[$n]=$4 TUNNEL_ENCAPSULATION[$n]=$5
	TUNNEL_ESN[$n]=${6:-true}
	key_create "$n.in" "$4"
	key_create "$n.out" "$4"
}

# tunnel_spi N in|out [GENERATION]: as the gateway sees it.
tunnel_spi()
{
	local direction=1

	[[ $2 == in ]] || direction=2
	printf '0x%d%02d%03d' "$direction" "${3:-0}" "$1"
}

# tunnel_inner N 4|6: the address at the peer's side; tunnel_network N 4|6: the network around it.
tunnel_inner()
{
	local site=${TUNNEL_SITE[$1]:-$1}

	case $2 in 4) echo "10.1.$site.2" ;; 6) echo "fd00:b:$site::2" ;; esac
}

tunnel_network()
{
	local site=${TUNNEL_SITE[$1]:-$1}

	case $2 in 4) echo "10.1.$site.0/24" ;; 6) echo "fd00:b:$site::/64" ;; esac
}

# tenant_address 4|6: of its host.
tenant_address()
{
	case $1 in 4) echo 10.0.0.2 ;; 6) echo fd00:a::2 ;; esac
}

family_of()
{
	case $1 in *:*) echo 6 ;; *) echo 4 ;; esac
}

# gateway_address N, peer_address N: the outer ones.
gateway_address()
{
	case ${TUNNEL_OUTER[$1]} in 4) echo 192.0.2.1 ;; 6) echo 2001:db8:a::1 ;; esac
}

peer_address()
{
	case ${TUNNEL_OUTER[$1]} in 4) echo "$PEER_4" ;; 6) echo "$PEER_6" ;; esac
}

# --- sizes ------------------------------------------------------------------------------------

# inner_mtu N MTU: what a tunnel takes where its path takes packets of that size. Outer header, UDP, SPI
# and sequence number, IV, ICV; then padding to 4 bytes, 2 of them the trailer's.
inner_mtu()
{
	local outer=20

	[[ ${TUNNEL_OUTER[$1]} == 4 ]] || outer=40
	[[ ${TUNNEL_ENCAPSULATION[$1]} == esp ]] || outer=$((outer + 8))
	echo $((($2 - outer - 8 - 8 - 16) / 4 * 4 - 2))
}

# ping_size MTU 4|6: bytes of a ping that makes a packet of that size.
ping_size()
{
	case $2 in 4) echo $(($1 - 28)) ;; 6) echo $(($1 - 48)) ;; esac
}

# learnt_mtu NODE ADDRESS [SOURCE]: of the path, as the sender's kernel knows it.
learnt_mtu()
{
	inside "$1" ip route get "$2" ${3:+from "$3"} | sed -n 's/.* mtu \([0-9]*\).*/\1/p'
}

# --- the gateway's side -----------------------------------------------------------------------

interop_config()
{
	local tenant vlan=101 n

	printf 'version: 1\nunderlay:\n  - {name: wan, port: wan, netdev: wan}\ntenants:\n'
	for tenant in "${INTEROP_TENANTS[@]}"; do
		cat <<-END
			  - name: $tenant
			    attachments:
			      - {name: office, port: lan, vlan: $vlan, mtu: ${TENANT_MTU[$tenant]}, addresses: [10.0.0.1/24, "fd00:a::1/64"]}
			    tunnels:
		END
		vlan=$((vlan + 1))
		for n in "${TUNNELS[@]}"; do
			[[ ${TUNNEL_TENANT[$n]} != "$tenant" ]] || interop_tunnel "$n"
		done
	done
}

interop_tunnel()
{
	local n=$1 esn=${TUNNEL_ESN[$1]}

	cat <<-END
		      - name: tunnel-$n
		        local: "$(gateway_address "$n")"
		        remote: "${TUNNEL_REMOTE[$n]:-$(peer_address "$n")}"
		        encapsulation: ${TUNNEL_ENCAPSULATION[$n]}
		        networks: [$(tunnel_network "$n" 4), "$(tunnel_network "$n" 6)"]
		        sas:
		          - {direction: in, spi: $(tunnel_spi "$n" in), key-file: "$WORLD/keys/$n.in", esn: $esn, window: 1024}
		          - {direction: out, spi: $(tunnel_spi "$n" out), key-file: "$WORLD/keys/$n.out", esn: $esn}
	END
	if [[ -n ${TUNNEL_MORE[$n]:-} ]]; then
		printf '        %s\n' "${TUNNEL_MORE[$n]}"
	fi
}

interop_apply()
{
	interop_config >"$WORLD/gw-a/config.yaml"
	ctl gw-a apply --yes "$WORLD/gw-a/config.yaml" >>"$WORLD/gw-a/apply.log"
	wait_for 60 "the gateway to converge" gateway_converged gw-a
}

# gateway_drops: "REASON PACKETS" of all packets that were dropped, tenants' and others.
gateway_drops()
{
	ctl gw-a --json show drops | jq -r '[.reasons[] | select(.packets > 0)] | group_by(.name) |
		map("\(.[0].name) \(map(.packets) | add)") | join(" ")'
}

# underlay_counter GATEWAY NAME: of counters_tenant's row 0 (dataplane/abi/counters.h), which has no tenant to
# be shown with.
underlay_counter()
{
	PYTHONPATH="$KAIDO_ROOT/tests" /usr/bin/python3 -c '
import sys
from harness import kaido_abi as abi
with abi.Client(sys.argv[1]) as client:
    print(client.counters().sum("tenant", 0)[sys.argv[2]])' "$WORLD/$1/dataplane.sock" "$2"
}

# gateway_packets [REFUSED]: what each tunnel carried, as lines "N IN OUT"; IN includes so many that were
# authentic and not accepted.
gateway_packets()
{
	ctl gw-a --json show tunnels | jq -r --argjson refused "${1:-0}" '.tunnels[] |
		"\(.name | ltrimstr("tunnel-")) \(.counters.in_packets + $refused) \(.counters.out_packets)"' | sort -n
}

# --- the peer's side --------------------------------------------------------------------------
#
# As an IKE daemon sets it up: an SA for each direction, and policies that name it by its reqid, N.

# xfrm_sa ADD|DELETE N in|out [GENERATION]: a line for ip's batch. The gateway's "in" is the peer's
# "out".
xfrm_sa()
{
	local action=$1 n=$2 direction=$3 generation=${4:-} from to key line

	case $direction in
	in) from=$(peer_address "$n") to=$(gateway_address "$n") ;;
	out) from=$(gateway_address "$n") to=$(peer_address "$n") ;;
	esac
	line="xfrm state $action src $from dst $to proto esp spi $(tunnel_spi "$n" "$direction" "$generation")"
	if [[ $action == add ]]; then
		key=$(<"$WORLD/keys/$n.$direction${generation:+.$generation}")
		line+=" reqid $n mode tunnel aead rfc4106(gcm(aes)) 0x$key 128 flag af-unspec"
		if [[ ${TUNNEL_ESN[$n]} == true ]]; then
			line+=" flag esn replay-window 1024"
		else
			line+=" replay-window 32"
		fi
		if [[ ${TUNNEL_ENCAPSULATION[$n]} == udp ]]; then
			line+=" encap espinudp 4500 4500 0.0.0.0"
		fi
		line+=${TUNNEL_IF_ID[$n]:+" if_id ${TUNNEL_IF_ID[$n]}"}
	fi
	echo "$line"
}

# xfrm_policies N: lines for ip's batch. Inside is what the tenant has, both families.
xfrm_policies()
{
	local n=$1 peer gateway theirs ours if_id direction

	peer=$(peer_address "$n") gateway=$(gateway_address "$n")
	if_id=${TUNNEL_IF_ID[$n]:+if_id ${TUNNEL_IF_ID[$n]}}
	for ours in 10.0.0.0/24 fd00:a::/64; do
		theirs=$(tunnel_network "$n" "$(family_of "$ours")")
		echo "xfrm policy add src $theirs dst $ours dir out $if_id" \
			"tmpl src $peer dst $gateway proto esp reqid $n mode tunnel"
		for direction in in fwd; do
			echo "xfrm policy add src $ours dst $theirs dir $direction $if_id" \
				"tmpl src $gateway dst $peer proto esp reqid $n mode tunnel"
		done
	done
}

# peer_batch: runs ip's commands from standard input in the peer.
peer_batch()
{
	vm_script "ip -n peer -batch - <<'END'
$(cat)
END"
}

# All tunnels that were named, the sockets of those in UDP, and who notes what SAs had carried that go.
peer_start()
{
	local n

	for n in "${TUNNELS[@]}"; do
		peer_network "$n"
		xfrm_sa add "$n" in
		xfrm_sa add "$n" out
		xfrm_policies "$n"
	done | peer_batch
	vm_background monitor ip -n peer -s xfrm monitor SA
	vm_background encap ip netns exec peer encap_socket 4500
}

# peer_network N: lines for ip's batch. What is behind the tunnel: addresses of the peer's or, where the
# tunnel has an xfrm interface, of a VRF in which that is the way out.
peer_network()
{
	local n=$1 if_id=${TUNNEL_IF_ID[$1]:-} inner=inner

	if [[ -n $if_id ]]; then
		inner=inner-$if_id
		cat <<-END
			link add vrf-$if_id type vrf table $((100 + if_id))
			link set vrf-$if_id up
			link add $inner type dummy
			link add ipsec-$if_id type xfrm dev wan if_id $if_id
			link set $inner master vrf-$if_id
			link set ipsec-$if_id master vrf-$if_id
			link set $inner up
			link set ipsec-$if_id up
			route add 10.0.0.0/24 dev ipsec-$if_id vrf vrf-$if_id
			route add fd00:a::/64 dev ipsec-$if_id vrf vrf-$if_id
		END
	fi
	echo "addr add $(tunnel_inner "$n" 4)/24 dev $inner"
	echo "addr add $(tunnel_inner "$n" 6)/64 dev $inner nodad"
}

# xfrm_errors: names and numbers of /proc/net/xfrm_stat that are not 0.
xfrm_errors()
{
	inside peer awk '$2 { printf "%s %s ", $1, $2 }' /proc/net/xfrm_stat
}

# xfrm_failures: packets that were replayed, outside the window, or not authentic, over all SAs.
xfrm_failures()
{
	inside peer ip -s xfrm state | awk '$1 == "replay-window" && $3 == "replay" { n += $2 + $4 + $6 }
		END { print n + 0 }'
}

# xfrm_packets: what each tunnel carried, as gateway_packets says it, by the peer's count: the
# gateway's "in" is the sum of the peer's SAs to it, those that were deleted included.
xfrm_packets()
{
	vm_script '
		ip -n peer -s xfrm state
		awk "/^[A-Zs]/ { gone = \$1 == \"Deleted\" } gone { sub(/^Deleted /, \"\"); print }" /run/monitor.output' |
		awk '
			$1 == "src" { to_gateway = $4 == "192.0.2.1" || $4 == "2001:db8:a::1" }
			$5 == "reqid" { n = $6; sub(/\(.*/, "", n) }
			/lifetime current/ {
				getline
				gsub(/[^0-9 ]/, " ")
				if (to_gateway) into[n] += $2
				else out[n] += $2
			}
			END { for (n in into) print n, into[n], out[n] + 0 }' | sort -n
}

# packets_agree [REFUSED]
packets_agree()
{
	[[ $(xfrm_packets) == "$(gateway_packets "$@")" ]]
}

# check_counters [DROPS [REFUSED]]: nothing went wrong on either side that the test did not mean to go
# wrong, and both have counted the same packets.
check_counters()
{
	wait_for 60 "both sides to have counted the same" packets_agree "${2:-0}" || true
	check "both sides counted the same packets in each tunnel" "$(gateway_packets "${2:-0}")" "$(xfrm_packets)"
	check "the gateway dropped ${1:-nothing}" "$(gateway_drops)" "${1:-}"
	check_errors
}

# check_errors: none of the peer's, and each packet of the gateway's accounted for.
check_errors()
{
	local tenant

	check "the peer's kernel counted no errors" "$(xfrm_errors)" ""
	check "the peer's SAs counted neither replays nor forgeries" "$(xfrm_failures)" 0
	for tenant in "${INTEROP_TENANTS[@]}"; do
		check "$tenant: in + fragments = out + local + drops" "$(balance_of gw-a "$tenant")" 0
	done
}
