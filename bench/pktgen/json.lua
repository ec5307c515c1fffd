-- SPDX-License-Identifier: BSD-3-Clause
--
-- Values as JSON: tables with a first element are arrays, others objects with their keys in order.

local json = {}

local ESCAPES = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\t"] = "\\t", ["\r"] = "\\r" }

local function text(value)
	return '"' .. value:gsub('[%c"\\]', function(character)
		return ESCAPES[character] or string.format("\\u%04x", character:byte())
	end) .. '"'
end

local function number(value)
	if value ~= value or value == math.huge or value == -math.huge then
		return "null"
	end
	return math.type(value) == "integer" and tostring(value) or string.format("%.9g", value)
end

local function array(value)
	local parts = {}

	for i, element in ipairs(value) do
		parts[i] = json.encode(element)
	end
	return "[" .. table.concat(parts, ", ") .. "]"
end

local function object(value)
	local keys, parts = {}, {}

	for key in pairs(value) do
		keys[#keys + 1] = key
	end
	table.sort(keys)
	for i, key in ipairs(keys) do
		parts[i] = text(key) .. ": " .. json.encode(value[key])
	end
	return "{" .. table.concat(parts, ", ") .. "}"
end

function json.encode(value)
	local kind = type(value)

	if kind == "table" then
		return value[1] ~= nil and array(value) or object(value)
	elseif kind == "string" then
		return text(value)
	elseif kind == "number" then
		return number(value)
	elseif kind == "boolean" then
		return tostring(value)
	end
	return "null"
end

return json
