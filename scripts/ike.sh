# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# IKE for the gateways of scripts/world.sh: Debian's charon in a gateway's namespace, with kaido's plugin in the
# place of the kernel's IPsec. What it negotiates it gives to the gateway's kaidod, which tells it over vici what
# tunnels there are. For the demo and the tests; sourced after world.sh.
#
#	ike_begin
#	dataplane_start gw-a; kaidod_start gw-a; ike_start gw-a   # in any order

CHARON=
CHARON_SWANCTL= # a copy: AppArmor confines the one at its own place to files of /etc
CHARON_TIMES=(  # retransmissions every second, at most a minute: tests hold messages back
	'retransmit_timeout = 1.0' 'retransmit_base = 1.0' 'retransmit_tries = 60'
)
IKE_PLUGINS= # the folder of strongSwan's plugins, with ours
IKE_OPTIONS=() # lines of strongswan.conf for gateways
declare -A IKE_PID=()

# charon_begin: the programs, of whoever they are to be peers.
charon_begin()
{
	CHARON=$("$KAIDO_ROOT/scripts/charon")
	CHARON_SWANCTL=$WORLD/swanctl
	cp "$(command -v swanctl)" "$CHARON_SWANCTL"
}

# ike_begin: charon looks for plugins in one folder only. A copy of it with ours lies over it in the
# mount namespace of each gateway's charon, which nobody else sees.
ike_begin()
{
	charon_begin
	IKE_PLUGINS=$WORLD/plugins
	cp -r /usr/lib/ipsec/plugins "$IKE_PLUGINS"
	cp "$WORLD_BUILD/control/ike/libstrongswan-kernel-kaido.so" "$IKE_PLUGINS"
}

# ike_start GATEWAY: its charon.
ike_start()
{
	local gateway=$1 dir=$WORLD/$1 started

	ike_settings "$dir" >"$dir/strongswan.conf"
	# shellcheck disable=SC2016 # the inner shell's own variables
	STRONGSWAN_CONF=$dir/strongswan.conf spawn started "$dir/charon.output" \
		ip netns exec "$KAIDO_TAG-$gateway" sh -c '
			mount --bind "$1" /usr/lib/ipsec/plugins && exec "$2"' sh "$IKE_PLUGINS" "$CHARON"
	# shellcheck disable=SC2034 # for who sources this
	IKE_PID[$gateway]=$started
	wait_for 60 "charon of $gateway" ike_swanctl "$gateway" --stats
}

ike_settings()
{
	local dir=$1

	cat <<-END
		charon-systemd {
			load = random nonce openssl pem pkcs1 pkcs8 x509 pubkey revocation constraints sha1 sha2 hmac kdf gcm md5 kernel-kaido kernel-netlink socket-default eap-identity eap-mschapv2 eap-tls vici
			install_routes = no
			install_virtual_ip = no
			$(printf '%s\n' "${CHARON_TIMES[@]}" "${IKE_OPTIONS[@]}")
			plugins {
				kernel-kaido {
					socket = $dir/ike.sock
					wait_ms = 10000
				}
				vici {
					socket = unix://$dir/charon.vici
				}
			}
			filelog {
				all {
					path = $dir/charon.log
					flush_line = yes
					time_format = %T
					time_add_ms = yes
					default = 1
				}
			}
		}
		swanctl {
			load = random openssl pem pkcs1 pubkey
		}
	END
}

# ike_swanctl GATEWAY ARG...: what strongSwan's own tool says of a gateway.
ike_swanctl()
{
	local dir=$WORLD/$1

	shift
	STRONGSWAN_CONF=$dir/strongswan.conf timeout 90 "$CHARON_SWANCTL" "$@" --uri "unix://$dir/charon.vici"
}

# ike_of GATEWAY TENANT [JQ-OPTION...] FILTER: of `show ike`, by jq.
ike_of()
{
	ctl "$1" --json show ike "$2" | jq -r "${@:3}"
}
