-- SPDX-License-Identifier: BSD-3-Clause
--
-- Percentiles of the samples that Pktgen's latency sampler writes: a heading, then nanoseconds, one a line.

local percentile = {}

function percentile.read(path)
	local samples = {}

	for line in io.lines(path) do
		local value = tonumber(line)
		if value then
			samples[#samples + 1] = value
		end
	end
	table.sort(samples)
	return samples
end

-- The smallest sample that so many thousandths of all do not exceed (nearest rank). `samples` are sorted.
function percentile.of(samples, thousandths)
	return samples[math.max(1, (thousandths * #samples + 999) // 1000)]
end

-- In microseconds; nil without samples.
function percentile.summary(samples)
	if #samples == 0 then
		return nil
	end
	local function us(ns)
		return ns / 1000
	end
	return {
		samples = #samples,
		min = us(samples[1]),
		p50 = us(percentile.of(samples, 500)),
		p90 = us(percentile.of(samples, 900)),
		p99 = us(percentile.of(samples, 990)),
		["p99.9"] = us(percentile.of(samples, 999)),
		max = us(samples[#samples]),
	}
end

return percentile
