# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# strongSwan as Debian packages it in nodes of the virtual machine of lib.sh, with the ESP of the machine's
# kernel. Sourced after lib.sh, before interop_begin:
#
#	vm_charon_files [FOLDER]                # beside the machine's files; a folder with certificates and keys
#	interop_begin
#	vm_charon_start peer <<'CONFIG'         # swanctl.conf
#	vm_swanctl peer --initiate --child net

VM_CHARON_PLUGINS=(
	random nonce openssl pem pkcs1 pkcs8 x509 pubkey revocation constraints sha1 sha2 hmac kdf gcm md5
	kernel-netlink socket-default eap-identity eap-mschapv2 eap-tls resolve attr updown vici
)

# vm_charon_files [FOLDER]: laid out as swanctl wants it (x509, x509ca, private, ...), becomes /etc/swanctl.
vm_charon_files()
{
	local plugin

	# shellcheck disable=SC2034 # of vm.sh
	VM_MEMORY=256
	vm_file "$("$KAIDO_ROOT/scripts/charon")" /bin/charon-systemd
	vm_program swanctl
	for plugin in "${VM_CHARON_PLUGINS[@]}"; do
		vm_file "/usr/lib/ipsec/plugins/libstrongswan-$plugin.so"
	done
	vm_file /lib/x86_64-linux-gnu/libgcc_s.so.1 # which glibc loads when a thread ends
	vm_file /usr/lib/x86_64-linux-gnu/ossl-modules/legacy.so
	vm_file /etc/ssl/openssl.cnf /usr/lib/ssl/openssl.cnf
	[[ -z ${1:-} ]] || vm_file "$1" /etc/swanctl
}

# vm_charon_start NODE [OPTION...]: its connections are read from standard input (swanctl.conf); options are
# lines of strongswan.conf's section charon-systemd.
vm_charon_start()
{
	local node=$1

	shift
	vm_write "/etc/swanctl/$node.conf"
	vm_write "/run/charon-$node/strongswan.conf" <<-END
		charon-systemd {
			load = ${VM_CHARON_PLUGINS[*]}
			retransmit_timeout = 1.0
			retransmit_base = 1.0
			retransmit_tries = 60
			keep_alive = 1s
			$(printf '%s\n' "$@")
			plugins {
				vici {
					socket = unix:///run/charon-$node/vici
				}
			}
			filelog {
				all {
					path = /run/charon-$node/log
					flush_line = yes
					default = 1
				}
			}
		}
		swanctl {
			load = random openssl pem pkcs1 pkcs8 pubkey x509
		}
	END
	vm_background "charon-$node" ip netns exec "$node" \
		env "STRONGSWAN_CONF=/run/charon-$node/strongswan.conf" charon-systemd
	wait_for 60 "charon of $node" vm_swanctl "$node" --stats
	vm_swanctl "$node" --load-all --file "/etc/swanctl/$node.conf"
}

# vm_swanctl NODE ARG...
vm_swanctl()
{
	local node=$1

	shift
	vm env "STRONGSWAN_CONF=/run/charon-$node/strongswan.conf" swanctl "$@" --uri "unix:///run/charon-$node/vici"
}
