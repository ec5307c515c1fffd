-- SPDX-License-Identifier: BSD-3-Clause
--
-- What Pktgen sends: UDP over IPv4 of many tenants, told apart by VLAN, each through several tunnels.
-- Addresses as in gateways.py: site n is 198.18.n.0/24 here and 198.19.n.0/24 behind the tunnel.

local imix = require("imix")

local traffic = {}

local SEQUENCE_MOST = 16 -- packets that Pktgen's sequence mode has room for
local BURST = 48         -- a whole number of IMIX sequences, see traffic.imix()
local SPORT, DPORT = 1024, 5001
local HOST = 10          -- last octet of all stations

local function near(site)
	return string.format("198.18.%d.%d", site, HOST)
end

local function far(site)
	return string.format("198.19.%d.%d", site, HOST)
end

-- What every kind of traffic has in common. Latency probes are made from this single packet as well, and the
-- rate of a port is worked out from its size.
local function common(settings, size)
	local port = tostring(settings.sender)

	pktgen.set(port, "burst", BURST)
	pktgen.pattern(port, "none") -- filling 10 KiB a buffer takes longer than sending it
	pktgen.set(port, "size", size)
	pktgen.set_mac(port, "src", settings.sender_mac)
	pktgen.set_mac(port, "dst", settings.gateway_mac)
	pktgen.set_type(port, "ipv4")
	pktgen.set_proto(port, "udp")
	pktgen.set_ipaddr(port, "src", near(0) .. "/24")
	pktgen.set_ipaddr(port, "dst", far(0))
	pktgen.set(port, "sport", SPORT)
	pktgen.set(port, "dport", DPORT)
	pktgen.vlan(port, settings.tagged and "on" or "off")
	pktgen.vlanid(port, settings.vlan_first)
	return port
end

local function range(port, what, first, last, step)
	local set = pktgen.range[what]

	set(port, "start", first)
	set(port, "min", first)
	set(port, "max", last)
	set(port, "inc", step)
end

-- Frames of one size. VLAN, site and source port advance by one each frame, so the number of flows is
-- the least common multiple of theirs (but no more than Pktgen has buffers: 24576).
function traffic.fixed(settings, size)
	local port = common(settings, size)
	local vlan_last = settings.vlan_first + settings.tenants - 1
	local many = settings.tunnels > 1

	pktgen.set(port, "seq_cnt", 0)
	range(port, "dst_mac", settings.gateway_mac, settings.gateway_mac, "00:00:00:00:00:00")
	range(port, "src_mac", settings.sender_mac, settings.sender_mac, "00:00:00:00:00:00")
	pktgen.range.set_type(port, "ipv4")
	pktgen.range.ip_proto(port, "udp")
	range(port, "src_ip", near(0), near(settings.tunnels - 1), many and "0.0.1.0" or "0.0.0.0")
	range(port, "dst_ip", far(0), far(settings.tunnels - 1), many and "0.0.1.0" or "0.0.0.0")
	range(port, "src_port", SPORT, SPORT + settings.flows - 1, settings.flows > 1 and 1 or 0)
	range(port, "dst_port", DPORT, DPORT, 0)
	range(port, "vlan_id", settings.vlan_first, vlan_last, settings.tenants > 1 and 1 or 0)
	range(port, "ttl", 64, 64, 0)
	range(port, "pkt_size", size, size, 0)
	pktgen.set_range(port, "on")
end

-- IMIX. Tenants and sites are dealt out over the sequence, so there are no more of them than it has packets.
-- Pktgen reuses its buffers from a cache, last in, first out: on a device that gives them back at once, as
-- memif does, it is always the same burst that is sent. That is why a burst holds whole sequences.
-- The sequence is set by a file of commands: pktgen.seq() and seqTable() of Pktgen 23.03 to 24.10 take the first
-- argument for the port as well.
function traffic.imix(settings)
	local mix = imix.limited(settings.largest)
	local sizes = imix.sequence(mix)
	local port = common(settings, math.floor(imix.average(mix) + 0.5))

	assert(#sizes <= SEQUENCE_MOST and BURST % #sizes == 0)
	pktgen.set_range(port, "off")
	local file = assert(io.open(settings.commands_file, "w"))
	for slot, size in ipairs(sizes) do
		local site = (slot - 1) // settings.tenants % settings.tunnels
		local vlan = settings.vlan_first + (slot - 1) % settings.tenants
		file:write(string.format("seq %d %s %s %s %s %s/24 %d %d ipv4 udp %d %d\n", slot - 1, port,
			settings.gateway_mac, settings.sender_mac, far(site), near(site), SPORT + slot, DPORT, vlan, size))
	end
	file:close()
	pktgen.load(settings.commands_file)
	pktgen.set(port, "seq_cnt", #sizes)
	return mix
end

return traffic
