# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# Libreswan as Debian packages it in the node "peer" of the virtual machine of lib.sh, with the ESP of the
# machine's kernel. Sourced after lib.sh, before interop_begin:
#
#	vm_libreswan_files [NAME...]            # certificates and keys of scripts/pki.sh, and the root
#	interop_begin
#	vm_libreswan_start SECRETS <<'CONFIG'   # ipsec.secrets; ipsec.conf, without "config setup"
#	vm_whack --initiate --name branch

VM_LIBRESWAN=/usr/libexec/ipsec

# vm_libreswan_files [NAME...]: Libreswan takes certificates from a database of NSS, by their names.
vm_libreswan_files()
{
	local programs program nss name

	# shellcheck disable=SC2034 # of vm.sh
	VM_MEMORY=256
	programs=$("$KAIDO_ROOT/scripts/libreswan")
	for program in pluto whack addconn _updown _updown.xfrm; do
		vm_file "$programs/$program" "$VM_LIBRESWAN/$program"
	done
	for program in libsoftokn3 libfreebl3 libfreeblpriv3; do # which NSS loads by name
		vm_file "/usr/lib/x86_64-linux-gnu/$program.so"
		vm_file "/usr/lib/x86_64-linux-gnu/$program.chk"
	done
	vm_file /lib/x86_64-linux-gnu/libgcc_s.so.1
	vm_file /etc/protocols
	scratch_dir nss
	certutil -N -d "sql:$nss" --empty-password
	if (($#)); then
		certutil -A -d "sql:$nss" -n ca -t CT,, -i "$PKI/ca.pem"
	fi
	for name in "$@"; do
		openssl pkcs12 -export -passout pass: -name "$name" -in "$PKI/$name.pem" -inkey "$PKI/$name.key" \
			-out "$nss/$name.p12"
		pk12util -i "$nss/$name.p12" -d "sql:$nss" -W '' >/dev/null
		rm "$nss/$name.p12"
	done
	vm_file "$nss" /etc/ipsec.nss
}

# vm_libreswan_start SECRETS: connections are read from standard input, indented or not.
vm_libreswan_start()
{
	vm mkdir -p /run/pluto /etc/ipsec.d
	{
		printf 'config setup\n\tuniqueids=no\n\n'
		sed '/^conn /!s/^[[:space:]]*/\t/'
	} | vm_write /etc/ipsec.conf
	vm_write /etc/ipsec.secrets <<<"$1"
	vm_background pluto ip netns exec peer "$VM_LIBRESWAN/pluto" --nofork --logfile /run/pluto/log \
		--config /etc/ipsec.conf --nssdir /etc/ipsec.nss --rundir /run/pluto --nhelpers 1
	wait_for 60 "pluto" vm_whack --status
}

# vm_whack ARG...
vm_whack()
{
	vm ip netns exec peer "$VM_LIBRESWAN/whack" --ctlsocket /run/pluto/pluto.ctl "$@"
}

# vm_libreswan_load NAME: a connection of the configuration.
vm_libreswan_load()
{
	vm ip netns exec peer "$VM_LIBRESWAN/addconn" --ctlsocket /run/pluto/pluto.ctl --config /etc/ipsec.conf "$1"
}
