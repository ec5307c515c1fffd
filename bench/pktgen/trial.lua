-- SPDX-License-Identifier: BSD-3-Clause
--
-- One trial (RFC 2544 section 23): send at a rate for a while, let the last frames arrive, count.

local trial = {}

local POLL_MS = 2
local PATIENCE = 10 -- seconds for Pktgen's once-a-second counters to come to rest
local RATE_LEAST = 0.01 -- percent; Pktgen takes nothing lower

-- Seconds, of any origin. Lua's own clocks count whole seconds or the time of all threads.
function trial.clock()
	local file <close> = assert(io.open("/proc/uptime"))
	return file:read("n")
end

-- Frames a second that Pktgen makes of the line's full rate with the frames that are set up now.
function trial.line_rate(port)
	pktgen.set(tostring(port), "rate", 100)
	return pktgen.portInfo(tostring(port))[port].info.tx_debug.tx_pps
end

-- By size as received, at once (the other counters are read from the port only once a second).
local function sizes(port)
	return pktgen.portSizes(tostring(port))[port]
end

local function sum(counts)
	local total = 0

	for name, count in pairs(counts) do
		if name ~= "broadcast" and name ~= "multicast" then -- kinds, not sizes
			total = total + count
		end
	end
	return total
end

local function stats(port, kind)
	return pktgen.portStats(tostring(port), kind)[port]
end

-- Until both ports' counters stand: a whole interval of Pktgen's timer has seen no frame.
local function settled(settings, sent_before)
	local deadline = trial.clock() + PATIENCE

	repeat
		pktgen.delay(100)
		local sender, receiver = stats(settings.sender, "rate"), stats(settings.receiver, "rate")
		if sender.opackets == 0 and receiver.ipackets == 0 and
			(not sent_before or stats(settings.sender, "port").opackets > sent_before) then
			return
		end
	until trial.clock() > deadline
end

local function difference(after, before)
	local result = {}

	for name, value in pairs(after) do
		result[name] = value - before[name]
	end
	return result
end

-- Sends for `seconds` at `rate` frames a second. The time counts from the first frame that arrives, since
-- Pktgen prepares all its buffers after start().
function trial.run(settings, rate, seconds)
	local sender, receiver = tostring(settings.sender), settings.receiver
	local percent = rate / trial.line_rate(settings.sender) * 100

	pktgen.set(sender, "rate", math.max(RATE_LEAST, math.min(100, percent)))
	settled(settings)
	local sent, arrived = stats(settings.sender, "port").opackets, stats(receiver, "port").ipackets
	local by_size, first = sizes(receiver), nil
	local begin = trial.clock()

	pktgen.start(sender)
	local deadline = begin + seconds
	repeat
		pktgen.delay(first and math.max(POLL_MS, math.min(100, (deadline - trial.clock()) * 1000 // 1 | 0))
			or POLL_MS)
		local now = trial.clock()
		if not first and sum(sizes(receiver)) > sum(by_size) then
			first, deadline = now, now + seconds
		end
	until trial.clock() >= deadline
	pktgen.stop(sender)
	local elapsed = trial.clock() - (first or begin)

	pktgen.delay(settings.drain_ms)
	settled(settings, sent)
	sent = stats(settings.sender, "port").opackets - sent
	arrived = stats(receiver, "port").ipackets - arrived
	return {
		rate = rate,
		seconds = elapsed,
		sent = sent,
		received = arrived,
		offered = sent / elapsed,
		forwarded = arrived / elapsed,
		loss = sent > 0 and (sent - arrived) / sent or 1,
		sizes = difference(sizes(receiver), by_size),
	}
end

return trial
