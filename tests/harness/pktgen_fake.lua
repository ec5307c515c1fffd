-- SPDX-License-Identifier: BSD-3-Clause
--
-- Pktgen's Lua interface without Pktgen, and without time: a line with a gateway of known capacity on it. Runs
-- bench/pktgen/main.lua, whose path is the first argument. The model is the Lua file that the second one names:
--
--	line = frames a second at 100 %, generator = what the generator can do at most,
--	capacity = what the gateway can do, samples = latencies in nanoseconds
--
-- What Pktgen doesn't have, this doesn't have either: calling it is an error.

local script, model = arg[1], dofile(arg[2])

local now = 1000.0
local sending = false
local sent, received = 0, 0
local sent_part, received_part = 0.0, 0.0 -- of a frame
local percent, sampler = 100, nil
local slots, seq_count, range, size = {}, 0, false, 64
local ticks = { { sent = 0, received = 0 }, { sent = 0, received = 0 } } -- as of the last two seconds
local called = {}

local function advance(seconds)
	while seconds > 1e-9 do
		local step = math.min(seconds, math.floor(now + 1 + 1e-9) - now)
		if sending then
			local rate = math.min(percent / 100 * model.line, model.generator)
			sent_part = sent_part + rate * step
			received_part = math.min(sent_part, received_part + model.capacity * step)
			sent, received = sent + sent_part // 1 | 0, received + received_part // 1 | 0
			sent_part, received_part = sent_part % 1, received_part % 1
		end
		now, seconds = now + step, seconds - step
		if math.abs(now - math.floor(now + 0.5)) < 1e-9 then
			now = math.floor(now + 0.5) + 0.0
			ticks = { { sent = sent, received = received }, ticks[1] }
		end
	end
end

local function class(bytes)
	if bytes == 64 then return "_64" end
	for _, last in ipairs({ 127, 255, 511, 1023, 1518 }) do
		if bytes <= last then
			return ({ [127] = "_65_127", [255] = "_128_255", [511] = "_256_511", [1023] = "_512_1023",
				[1518] = "_1024_1518" })[last]
		end
	end
	return "jumbo"
end

local function sizes()
	local counts = { runt = 0, _64 = 0, _65_127 = 0, _128_255 = 0, _256_511 = 0, _512_1023 = 0, _1024_1518 = 0,
		jumbo = 0, broadcast = 0, multicast = 0 }
	local frames = received

	if range then
		counts[class(size)] = frames
		return counts
	end
	for slot = 0, seq_count - 1 do
		local name = class(slots[slot])
		counts[name] = counts[name] + frames // seq_count + (slot < frames % seq_count and 1 or 0)
	end
	return counts
end

local function load_commands(path)
	for line in io.lines(path) do
		local slot, bytes = line:match(
			"^seq (%d+) 0 %x+:[%x:]+ %x+:[%x:]+ 198%.19%.%d+%.%d+ 198%.18%.%d+%.%d+/24 %d+ %d+ ipv4 udp %d+ (%d+)$")
		assert(slot, "no command of Pktgen: " .. line)
		slots[tonumber(slot)] = tonumber(bytes)
	end
end

local function set(port, what, value)
	assert(type(port) == "string" and type(value) == "number")
	if what == "rate" then
		percent = value
	elseif what == "seq_cnt" then
		seq_count = value
	else
		assert(({ burst = 1, size = 1, sport = 1, dport = 1 })[what], what)
	end
end

local function stats(_, kind)
	local last, before = ticks[1], kind == "rate" and ticks[2] or { sent = 0, received = 0 }
	return { [0] = { opackets = last.sent - before.sent, ipackets = 0 },
		{ opackets = 0, ipackets = last.received - before.received } }
end

local function latsampler(_, state)
	if state == "off" then
		local file <close> = assert(io.open(sampler, "w"))
		file:write("Latency\n")
		for _, sample in ipairs(model.samples) do
			file:write(string.format("%d\n", sample))
		end
	end
end

local function nothing() end

local strict = { __index = function(_, name) error("Pktgen has no " .. name) end }

pktgen = setmetatable({
	set = set, set_mac = nothing, set_type = nothing, set_proto = nothing, set_ipaddr = nothing,
	pattern = nothing, vlan = nothing, vlanid = nothing, screen = nothing, latency = nothing,
	set_range = function(_, state) range = state == "on" end,
	range = setmetatable({
		dst_mac = nothing, src_mac = nothing, set_type = nothing, ip_proto = nothing, src_ip = nothing,
		dst_ip = nothing, src_port = nothing, dst_port = nothing, vlan_id = nothing, ttl = nothing,
		pkt_size = function(_, what, bytes) if what == "start" then size = bytes end end,
	}, strict),
	load = load_commands,
	start = function() sending = true end,
	stop = function() sending = false end,
	delay = function(ms)
		assert(math.type(ms) == "integer", "pktgen.delay() takes whole milliseconds")
		advance(ms / 1000)
	end,
	portStats = stats,
	portSizes = function() return { sizes(), n = 1 } end,
	portInfo = function() return { [0] = { info = { tx_debug = {
		tx_pps = math.floor(model.line * percent / 100) } } }, n = 1 } end,
	linkState = function() return { [0] = "<UP-100000-FD>", "<UP-100000-FD>", n = 2 } end,
	latsampler_params = function(_, kind, count, _, path)
		assert(kind == "simple" and count <= 50108) -- MAX_LATENCY_ENTRIES
		sampler = path
	end,
	latsampler = latsampler,
	quit = function() called.quit = true end,
	info = { Pktgen_Version = "fake", DPDK_Version = "none" },
}, strict)

package.path = script:match("^(.*/)") .. "?.lua;" .. package.path
require("trial").clock = function() return now end
dofile(script)
assert(called.quit, "the script does not quit Pktgen")
