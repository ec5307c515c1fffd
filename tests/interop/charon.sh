# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# strongSwan's charon in nodes of scripts/world.sh, as peers and clients: IKEv2, and ESP in userspace by its
# kernel-libipsec, which needs nothing of the kernel but /dev/net/tun and always speaks ESP in UDP. Sourced
# after scripts/ike.sh.
#
# In tests/interop/strongswan one beside a gateway negotiates for it without kaido's plugin. Its own ESP engine
# never sees a packet, for ESP is taken by the gateway; the keys that it negotiated are read from its log and given
# to the gateway. The log is below $WORLD, which only root may enter and which goes with the test.

CHARON_PLUGINS=(
	random nonce openssl pem pkcs1 pkcs8 x509 pubkey revocation constraints sha1 sha2 hmac kdf gcm md5
	kernel-libipsec kernel-netlink socket-default eap-identity eap-mschapv2 eap-tls resolve vici
)
# shellcheck disable=SC2034 # for who sources this
declare -A CHARON_PID=()
CHARON_OPTIONS=() # lines of strongswan.conf, for those that are started from now on

# charon_start NODE: its connections are read from standard input (swanctl.conf).
charon_start()
{
	# shellcheck disable=SC2034 # spawn stops it
	local node=$1 dir=$WORLD/charon-$1 started

	[[ -c /dev/net/tun ]] || die "/dev/net/tun is not there; try: modprobe tun"
	[[ -d $dir ]] || mkdir -m 700 "$dir"
	cat >"$dir/swanctl.conf"
	charon_settings "$dir" >"$dir/strongswan.conf"
	STRONGSWAN_CONF=$dir/strongswan.conf spawn started "$dir/output" \
		ip netns exec "$KAIDO_TAG-$node" "$CHARON"
	# shellcheck disable=SC2034 # for who sources this
	CHARON_PID[$node]=$started
	wait_for 60 "charon of $node" swanctl_of "$node" --stats
	swanctl_of "$node" --load-all --file "$dir/swanctl.conf" >>"$dir/output" 2>&1
}

# Old inbound SAs stay for longer than messages are sent again after a rekey. A keepalive every second where a
# NAT was found. What a client is told of DNS is in resolv.conf of its folder.
charon_settings()
{
	local dir=$1

	cat <<-END
		charon-systemd {
			load = ${CHARON_PLUGINS[*]}
			$(printf '%s\n' "${CHARON_TIMES[@]}" "${CHARON_OPTIONS[@]}")
			delete_rekeyed_delay = 120
			keep_alive = 1s
			plugins {
				vici {
					socket = unix://$dir/vici
				}
				resolve {
					file = $dir/resolv.conf
				}
			}
			filelog {
				all {
					path = $dir/log
					flush_line = yes
					default = 1
					chd = 4
				}
			}
		}
		swanctl {
			load = random openssl pem pkcs1 pkcs8 pubkey x509
		}
	END
}

# swanctl_of NODE ARG...
swanctl_of()
{
	local dir=$WORLD/charon-$1

	shift
	STRONGSWAN_CONF=$dir/strongswan.conf timeout 90 "$CHARON_SWANCTL" "$@" --uri "unix://$dir/vici"
}

# charon_initiate NODE CHILD
charon_initiate()
{
	swanctl_of "$1" --initiate --child "$2" --timeout 60 >>"$WORLD/charon-$1/output" 2>&1
}

# child_field NODE CHILD FIELD: of its CHILD_SA that is installed (swanctl --list-sas --raw).
child_field()
{
	swanctl_of "$1" --list-sas --raw 2>/dev/null | tr '{}' '\n\n' | awk -v child="$2" -v field="$3" '
		/(^| )name=/ && / state=/ {
			delete value
			for (i = 1; i <= NF; i++)
				if (split($i, pair, "="))
					value[pair[1]] = pair[2]
			if (value["name"] == child && value["state"] == "INSTALLED")
				print value[field]
		}' | tail -n 1
}

# ike_field NODE CONNECTION FIELD: of its IKE_SA.
ike_field()
{
	swanctl_of "$1" --list-sas --raw --ike "$2" 2>/dev/null | grep -o " $3=[^ }]*" | head -n 1 | cut -d = -f 2
}

# children_logged NODE CHILD: how many CHILD_SAs of this name have got their keys.
children_logged()
{
	child_keys "$1" "$2" | wc -l
}

# child_keys NODE CHILD: a line for each CHILD_SA of this name in the log, in the order in which their keys
# were derived: SPI-IN SPI-OUT INITIATOR-KEY RESPONDER-KEY, keys with their salt. Lines of charon's
# threads are mixed, each begins with the thread's number.
child_keys()
{
	awk -v child="$2" '
		{ id = substr($0, 1, 2) }
		/\[CHD\] CHILD_SA .* => INSTALLING/ {
			name[id] = $3
			sub(/\{.*/, "", name[id])
			initiator[id] = responder[id] = spi[id] = ""
		}
		/\[CHD\] encryption initiator key =>/ { which[id] = "i"; next }
		/\[CHD\] encryption responder key =>/ { which[id] = "r"; next }
		/\[CHD\] +[0-9]+: ([0-9A-F][0-9A-F] )+/ {
			line = $0
			sub(/^.*\[CHD\] +[0-9]+: /, "", line)
			line = substr(line, 1, 48) # 16 bytes, behind them as text
			gsub(/ /, "", line)
			if (which[id] == "i")
				initiator[id] = initiator[id] line
			else if (which[id] == "r")
				responder[id] = responder[id] line
			next
		}
		/\[CHD\]/ { which[id] = "" }
		/\[CHD\] adding inbound ESP SA/ { direction[id] = "in" }
		/\[CHD\] (adding|registering) outbound ESP SA/ { direction[id] = "out" }
		/\[CHD\]   SPI 0x/ {
			value = $3
			sub(/,$/, "", value)
			if (direction[id] == "in")
				spi[id] = value
			else if (name[id] == child && spi[id] != "")
				print spi[id], value, initiator[id], responder[id]
			if (direction[id] == "out") # the responder of a rekey registers it first and adds it later
				name[id] = ""
		}' "$WORLD/charon-$1/log"
}
