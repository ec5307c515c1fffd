-- SPDX-License-Identifier: BSD-3-Clause
--
-- The mix of frame sizes: 28 of 64 bytes, 16 of 570 and 4 of 1518, FCS and VLAN tag included.

local imix = {}

imix.MIX = { { size = 64, share = 28 }, { size = 570, share = 16 }, { size = 1518, share = 4 } }

-- The mix with no frame larger than `largest`.
function imix.limited(largest)
	local mix = {}

	for i, part in ipairs(imix.MIX) do
		mix[i] = { size = math.min(part.size, largest), share = part.share }
	end
	return mix
end

local function gcd(a, b)
	while b ~= 0 do
		a, b = b, a % b
	end
	return a
end

-- Sizes in the smallest sequence that has them in their shares, spread evenly: 7 : 4 : 1, so 12.
function imix.sequence(mix)
	local divisor, total, parts, sizes = 0, 0, {}, {}

	for _, part in ipairs(mix) do
		divisor = gcd(divisor, part.share)
	end
	for i, part in ipairs(mix) do
		parts[i] = { size = part.size, count = part.share // divisor, credit = 0 }
		total = total + parts[i].count
	end
	for slot = 1, total do
		local most

		for _, part in ipairs(parts) do
			part.credit = part.credit + part.count
			if not most or part.credit > most.credit then
				most = part
			end
		end
		most.credit = most.credit - total
		sizes[slot] = most.size
	end
	return sizes
end

function imix.average(mix)
	local bytes, frames = 0, 0

	for _, part in ipairs(mix) do
		bytes, frames = bytes + part.size * part.share, frames + part.share
	end
	return bytes / frames
end

-- How far the counts are from the shares of the mix: the largest difference, as a fraction of all frames.
-- 0 where they agree.
function imix.deviation(mix, counts)
	local frames, shares, worst = 0, 0, 0

	for i, part in ipairs(mix) do
		frames, shares = frames + counts[i], shares + part.share
	end
	if frames == 0 then
		return 1
	end
	for i, part in ipairs(mix) do
		worst = math.max(worst, math.abs(counts[i] / frames - part.share / shares))
	end
	return worst
end

return imix
