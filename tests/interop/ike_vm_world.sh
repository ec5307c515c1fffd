# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# What the tests of IKE against the virtual machine share: the world of lib.sh, with charon and kaido's plugin beside
# the gateway. The tunnels are tunnel-N of tenant red, whose networks at the peer's side are lib.sh's. Sourced,
# never run.

source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/lib.sh"
source "$KAIDO_ROOT/scripts/ike.sh"
source "$KAIDO_ROOT/scripts/pki.sh"

# ike_vm_begin [PROGRAM...]: the machine and the gateway's processes.
ike_vm_begin()
{
	interop_begin "$@"
	ike_begin
	ike_start gw-a
}

# ike_vm_apply: the tunnels are read from standard input, as YAML.
ike_vm_apply()
{
	{
		cat <<-END
			version: 1
			underlay:
			  - {name: wan, port: wan, netdev: wan}
			tenants:
			  - name: red
			    attachments:
			      - {name: office, port: lan, vlan: 101, mtu: 1500, addresses: [10.0.0.1/24, "fd00:a::1/64"]}
			    tunnels:
		END
		cat
	} >"$WORLD/gw-a/config.yaml"
	ctl gw-a apply --yes "$WORLD/gw-a/config.yaml" >>"$WORLD/gw-a/apply.log"
	wait_for 60 "the gateway to converge" gateway_converged gw-a
}

# ike_vm_tunnel N OUTER-FAMILY ENCAPSULATION [INNER-FAMILY]: its first lines; those of "ike" follow. Inside are both
# families, or one.
ike_vm_tunnel()
{
	local theirs ours='10.0.0.0/24, "fd00:a::/64"'

	# shellcheck disable=SC2034 # of lib.sh
	TUNNEL_OUTER[$1]=$2
	theirs="$(tunnel_network "$1" 4), \"$(tunnel_network "$1" 6)\""
	case ${4:-} in
	4) theirs=${theirs%,*} ours=${ours%,*} ;;
	6) theirs=${theirs#*,} ours=${ours#*,} ;;
	esac
	cat <<-END
		      - name: tunnel-$1
		        local: "$(gateway_address "$1")"
		        remote: "$(peer_address "$1")"
		        networks: [$theirs]
		        local-networks: [$ours]
		        ike:
	END
	[[ $3 == auto ]] || echo "          encapsulation: $3"
}

# peer_inner N...: addresses of the peer's behind its tunnels.
peer_inner()
{
	local n

	for n in "$@"; do
		echo "addr add $(tunnel_inner "$n" 4)/24 dev inner"
		echo "addr add $(tunnel_inner "$n" 6)/64 dev inner nodad"
	done | peer_batch
}

# gateway_rekeys OPTION...: of swanctl. While an IKE SA takes the place of another, its children are in neither for a moment,
# and charon may say that nothing matches.
gateway_rekeys()
{
	wait_for 30 "charon to find what it is to rekey" ike_swanctl gw-a --rekey "$@"
}

# check_both_ways N PINGS [FAMILY...]: of the inside, both unless told.
check_both_ways()
{
	local n=$1 count=$2 family families=("${@:3}")

	((${#families[@]})) || families=(4 6)
	for family in "${families[@]}"; do
		wait_for 6 "tunnel-$n" inside_reachable red "$(tunnel_inner "$n" "$family")" || true
		check "tunnel-$n: pings to the peer over IPv$family" \
			"$(inside_pings red "$(tunnel_inner "$n" "$family")" "$count")" "$count"
		check "tunnel-$n: pings from the peer over IPv$family" \
			"$(inside_pings peer "$(tenant_address "$family")" "$count" -I "$(tunnel_inner "$n" "$family")")" "$count"
	done
}

# encapsulations N: "ESP UDP", how many states the peer's kernel has of each kind, with the gateway's address of N.
encapsulations()
{
	inside peer ip xfrm state | awk -v gateway="$(gateway_address "$1")" '
		/^src/ { state = $2 == gateway || $4 == gateway; if (state) all++ }
		/espinudp/ && state { udp++ }
		END { print all - udp, udp + 0 }'
}

# gateway_spis N: of its SAs, "SPI SPI".
gateway_spis()
{
	ctl gw-a --json show sas red | jq -r --arg tunnel "tunnel-$1" \
		'[.sas[] | select(.tunnel == $tunnel).spi] | sort | map(tostring) | join(" ")'
}

# renewed N BEFORE: it sends with an SA that is not of those before.
renewed()
{
	ctl gw-a --json show sas red | jq -e --arg tunnel "tunnel-$1" --arg before " $2 " \
		'[.sas[] | select(.tunnel == $tunnel and .direction == "out") |
			select(" \(.spi) " as $spi | $before | contains($spi) | not)] | length > 0'
}

# vm_pinging N: both ways, every 10 ms, until check_vm_pinged.
vm_pinging()
{
	vm_background "to-peer-$1" ip netns exec red count_pings -l -i 0.01 "$(tunnel_inner "$1" 4)" 65536
	vm_background "from-peer-$1" ip netns exec peer count_pings -l -i 0.01 \
		-I "$(tunnel_inner "$1" 6)" fd00:a::2 65536
}

# check_vm_pinged N WHAT
check_vm_pinged()
{
	local name

	for name in "to-peer-$1" "from-peer-$1"; do
		vm_stop "$name"
		vm_wait "$name" 60
		check "$2: pings $name, lost" "$(vm_output "$name")" 0
	done
}

# check_quiet [ERRORS]: nobody counted errors but these, and each packet is accounted for.
check_quiet()
{
	check "the peer's kernel counted ${1:-no errors}" "$(xfrm_errors)" "${1:-}"
	check "the peer's SAs counted neither replays nor forgeries" "$(xfrm_failures)" 0
	check "red: in + fragments = out + local + drops" "$(balance_of gw-a red)" 0
}
