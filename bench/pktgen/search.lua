-- SPDX-License-Identifier: BSD-3-Clause
--
-- The highest rate at which no more than a fraction of the frames is lost (RFC 2544 section 26.1; 0 is its
-- throughput). Knows nothing of Pktgen: a trial is any function from a rate in frames a second to
--
--	{ rate = asked for, offered = really sent a second, forwarded = received a second, loss = 0..1 }

local search = {}

search.SHORT = 0.02 -- a generator that sends less than that below what was asked has not done the rate

function search.passes(result, tolerance)
	return result.loss <= tolerance
end

function search.is_short(result)
	return result.offered < result.rate * (1 - search.SHORT)
end

-- Halves the interval between `least`, the lowest rate worth a trial, and `ceiling` until it is narrower than
-- `resolution` of its upper end. Returns the best trial that passed (nil if none did), what kept it from being
-- better ("gateway", "generator" or "ceiling") and all trials in their order.
function search.binary(trial, least, ceiling, tolerance, resolution)
	local low, high, best, bound, trials = 0, ceiling, nil, "ceiling", {}
	local rate = ceiling

	repeat
		local result = trial(rate)
		trials[#trials + 1] = result
		if search.passes(result, tolerance) then
			if not best or result.offered > best.offered then
				best = result
			end
			if search.is_short(result) then
				-- It stands for the rate that was sent; of the one that was asked for nothing is known.
				low, high, bound = math.max(low, result.offered), rate, "generator"
			else
				low = math.max(low, rate)
			end
		else
			high, bound = rate, "gateway"
		end
		rate = (low + high) / 2
	until high - low <= resolution * high or rate < least
	return best, bound, trials
end

-- The search may use short trials, the final determination takes one of full length (RFC 2544 section 24):
-- `trial` again, at the rate found and at lower ones until one passes. nil after `tries`.
function search.confirm(trial, found, tolerance, resolution, tries)
	local rate = math.min(found.rate, found.offered)

	for _ = 1, tries do
		local result = trial(rate)
		if search.passes(result, tolerance) then
			return result
		end
		rate = rate * (1 - resolution)
	end
	return nil
end

return search
