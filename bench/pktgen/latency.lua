-- SPDX-License-Identifier: BSD-3-Clause
--
-- Latency under load (RFC 2544 section 26.2): time-stamped probes of Pktgen's own in the stream, each timed where
-- it comes back, percentiles of all of them. Probes are UDP of the first tenant's first site.

local percentile = require("percentile")
local trial = require("trial")

local latency = {}

local SAMPLES_MOST = 50000  -- what Pktgen keeps
local PROBES_A_SECOND = 5000

function latency.run(settings, rate, seconds)
	local sender, receiver = tostring(settings.sender), tostring(settings.receiver)
	local both = sender .. "," .. receiver
	local probes = math.min(PROBES_A_SECOND, SAMPLES_MOST // (seconds + 1))

	pktgen.latency(sender, "rate", math.floor(1000000 / probes))
	pktgen.latency(both, "on")
	-- A probe is sampled if its time has come; with a rate far above that of the probes it always has.
	pktgen.latsampler_params(receiver, "simple", SAMPLES_MOST, 1000000, settings.samples_file)
	pktgen.latsampler(receiver, "on")
	local result = trial.run(settings, rate, seconds)
	pktgen.latsampler(receiver, "off")
	pktgen.latency(both, "off")
	result.latency = percentile.summary(percentile.read(settings.samples_file))
	return result
end

return latency
