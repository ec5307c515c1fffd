-- SPDX-License-Identifier: BSD-3-Clause
--
-- What Pktgen runs (-f). Settings come from the Lua file named by $KAIDO_PKTGEN (bench/pktgen/run writes one); each
-- result goes to settings.output as a line of JSON, and so does an error.

local here = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
package.path = here .. "?.lua;" .. package.path

local imix = require("imix")
local json = require("json")
local latency = require("latency")
local search = require("search")
local traffic = require("traffic")
local trial = require("trial")

local CONFIRM_TRIES = 20

local settings = dofile(assert(os.getenv("KAIDO_PKTGEN"), "KAIDO_PKTGEN does not name the settings"))
local output = assert(io.open(settings.output, "w"))

local function tell(record)
	output:write(json.encode(record), "\n")
	output:flush()
end

local function progress(what, result)
	tell({ kind = "trial", what = what, rate = result.rate, offered = result.offered, loss = result.loss,
		sent = result.sent, received = result.received, seconds = result.seconds })
	return result
end

-- The parts of the mix among what was received. Sizes are counted in classes; ESP is larger than what it
-- carries, so that a part may be in either of two.
local function mix_counts(sizes)
	return { sizes._64 + sizes._65_127, sizes._512_1023, sizes._1024_1518 + sizes.jumbo }
end

local function throughput(size, tolerance, mix)
	local what = string.format("%s bytes, at most %g %% loss", size, tolerance * 100)
	local function short(rate)
		return progress(what, trial.run(settings, rate, settings.seconds))
	end
	local function full(rate)
		return progress(what .. ", full length", trial.run(settings, rate, settings.final_seconds))
	end
	local line = trial.line_rate(settings.sender)
	local ceiling = math.min(line, settings.ceiling or line)
	local best, bound, trials = search.binary(short, line / 1000, ceiling, tolerance, settings.resolution)
	local result = best and search.confirm(full, best, tolerance, settings.resolution, CONFIRM_TRIES)
	local record = { kind = "throughput", size = size, tolerance = tolerance, trials = #trials, bound = bound }

	if result then
		record.offered, record.forwarded = result.offered, result.forwarded
		record.loss, record.seconds = result.loss, result.seconds
		record.sent, record.received = result.sent, result.received
		if mix then
			record.counts = mix_counts(result.sizes)
			record.deviation = imix.deviation(mix, record.counts)
		end
	end
	tell(record)
	return result
end

local function latencies(size, throughput_rate)
	for _, load in ipairs(settings.loads) do
		local result = latency.run(settings, throughput_rate * load, settings.final_seconds)

		tell({ kind = "latency", size = size, load = load, offered = result.offered, forwarded = result.forwarded,
			loss = result.loss, latency = result.latency,
			bound = search.is_short(result) and "generator" or nil })
	end
end

local function measure(size)
	local mix, result

	if size == "imix" then
		mix = traffic.imix(settings)
	else
		traffic.fixed(settings, size)
	end
	trial.run(settings, settings.learning_rate, 0.2) -- RFC 2544 section 23: learning frames
	for _, tolerance in ipairs(settings.tolerances) do
		local found = throughput(size, tolerance, mix)
		result = result or found
	end
	if result and #settings.loads > 0 then
		latencies(size, result.offered)
	end
end

local function wait_for_link(port)
	local deadline = trial.clock() + settings.link_seconds

	while not pktgen.linkState(tostring(port))[port]:find("UP") do
		assert(trial.clock() < deadline, string.format("port %d has no link", port))
		pktgen.delay(100)
	end
end

local function main()
	pktgen.screen("off")
	wait_for_link(settings.sender)
	wait_for_link(settings.receiver)
	for _, size in ipairs(settings.sizes) do
		measure(size)
	end
	tell({ kind = "end", pktgen = pktgen.info.Pktgen_Version, dpdk = pktgen.info.DPDK_Version })
end

local done, problem = xpcall(main, debug.traceback)
if not done then
	tell({ kind = "error", message = problem })
end
output:close()
pktgen.quit()
