# SPDX-License-Identifier: BSD-3-Clause
"""Tables of records, and the goals that they are held against."""

import statistics

from .traffic import spread

COLUMNS = ("what", "size", "bits", "SAs", "tenants", "min", "median", "max", "Mpps", "Gbit/s",
           "AEAD", "I/O", "rest", "peer", "ratio", "other", "ratio")
BESIDE = ("peer", "against")  # their figures stand in the rows of walks
IDENTITY = ("suite", "name", "direction", "size", "key_bits", "sas", "tenants", "workers")
REST_MOST = {1: 45, 10000: 70}  # cycles of the walk, by SAs


def of(record):
    return spread(record["sas"], record["tenants"])


def number(value, digits=1):
    return "" if value is None else f"{value:.{digits}f}"


def find(records, **fields):
    """The first record that has these values."""
    for record in records:
        if all(record.get(name) == value for name, value in fields.items()):
            return record
    return None


def beside(records, record, suite):
    """The median of what was measured in turn with this walk."""
    same = ("direction", "size", "key_bits", "sas", "tenants")
    if record["suite"] != "walk":
        return None
    other = find(records, suite=suite, **{name: record[name] for name in same})
    return other and other["cycles"][1]


def identity(record):
    return tuple(str(record.get(name)) for name in IDENTITY)


def merged(old, new):
    """All that is new, and what it does not replace, sorted."""
    found = {identity(record): record for record in old}
    found.update((identity(record), record) for record in new)
    return sorted(found.values(), key=order)


def order(record):
    size = record["size"]
    return (record["suite"], record["name"], record["key_bits"], record["sas"],
            record.get("tenants", 0), record["direction"] == "in", isinstance(size, str), str(size)
            if isinstance(size, str) else f"{size:09}")


def row(records, record):
    low, median, high = record["cycles"]
    what = f"{record['name']} {record['direction']}".strip()
    bits = str(record["key_bits"] or ("mixed" if "tenants" in record else ""))
    return (what, str(record["size"] or ""), bits, str(record["sas"] or ""),
            str(record.get("tenants", "")), number(low), number(median), number(high),
            number(record["mpps"], 2), number(record["gbps"]), number(record["aead_cycles"]),
            number(record["io_cycles"]), number(record.get("rest")),
            number(beside(records, record, "peer")), number(record.get("ratio"), 2),
            number(beside(records, record, "against")), number(record.get("against"), 2))


def table(records, markdown=False):
    """Lines. The peer stands in the rows of ours."""
    rows = [row(records, record) for record in records if record["suite"] not in BESIDE]
    used = [i for i, name in enumerate(COLUMNS) if any(line[i] for line in rows)]
    lines = [[COLUMNS[i] for i in used]] + [[line[i] for i in used] for line in rows]
    if markdown:
        lines.insert(1, ["---"] + ["--:"] * (len(used) - 1))
        return ["| " + " | ".join(line) + " |" for line in lines]
    widths = [max(len(line[i]) for line in lines) for i in range(len(used))]
    return ["  ".join(f"{text:<{width}}" if i == 0 else f"{text:>{width}}"
                      for i, (text, width) in enumerate(zip(line, widths))).rstrip()
            for line in lines]


def stage_lines(records):
    for record in records:
        if record.get("stages"):
            total = sum(record["stages"].values())
            yield (f"{record['direction']} {record['size']} B, {record['key_bits']} bits, "
                   f"{of(record)}: " + ", ".join(
                       f"{name} {cycles:.0f} ({cycles / total:.0%})"
                       for name, cycles in record["stages"].items()))


# The goals

def walks(records, **fields):
    return [r for r in records if r["suite"] == "walk" and r["name"] == "pcap-null"
            and r["key_bits"] == 128 and all(r[name] == value for name, value in fields.items())]


def against_peer(records, size, sas, most):
    for record in walks(records, size=size, sas=sas, tenants=1):
        if "ratio" in record:
            yield (f"{record['direction']}, {size} B, {of(record)}: ours / ipsec-secgw",
                   record["ratio"], most)


def against_one(records, sas, most):
    for record in walks(records, size=64, sas=sas):
        one = find(walks(records, size=64, sas=1), direction=record["direction"])
        if one:
            yield (f"{record['direction']}, 64 B: {of(record)} / 1 SA",
                   record["cycles"][1] / one["cycles"][1], most)


def rests(records):
    for sas, most in REST_MOST.items():
        for record in walks(records, sas=sas):
            if record.get("rest") is not None:
                yield (f"{record['direction']}, {record['size']} B, {of(record)}: cycles without "
                       "I/O and AEAD", record["rest"], most)


def ciphers(records):
    for size, most in ((64, 0.35), (128, 0.5), (256, 0.75), (1420, 0.85)):
        for direction in ("out", "in"):
            shape = {"suite": "aead", "direction": direction, "size": size, "key_bits": 128,
                     "sas": 1000}
            ours, direct = find(records, name="vaes", **shape), find(records, name="direct", **shape)
            if ours and direct:
                yield (f"AEAD {direction}, {size} B, 1,000 keys: ours / IPsec-MB called directly",
                       ours["cycles"][1] / direct["cycles"][1], most)


def goals(records):
    """(what, measured, at most)"""
    for size, sas, most in ((64, 1, 0.5), (64, 1000, 0.5), (512, 1, 0.65), (1420, 1, 0.75)):
        yield from against_peer(records, size, sas, most)
    yield from against_one(records, 10000, 1.5)
    yield from against_one(records, 100000, 2.5)
    yield from rests(records)
    yield from ciphers(records)


def goal_lines(records):
    for what, measured, most in goals(records):
        verdict = "pass" if measured <= most else f"MISSED by {measured / most - 1:.0%}"
        if measured < 0:  # the parts cost more than the whole
            verdict = "measured amid noise, says nothing"
        yield f"{what}: {measured:.2f} (at most {most:g}): {verdict}"


def machine_lines(machine):
    tsc, core = machine["tsc_hz"] / 1e9, machine["core_hz"] / 1e9
    yield (f"{machine['cpu']} (family {machine['family']}, model {machine['model']}"
           f"{', virtual' if machine['virtual'] else ''}), {machine['cores']} cores, TSC {tsc:.3f} "
           f"GHz, core {core:.2f} GHz ({core / tsc:.2f})")
    yield f"features {' '.join(machine['features'])}; {', '.join(machine['caches'])}"
    yield (f"Linux {machine['kernel']}, DPDK {machine['dpdk']}, {machine['engine']}; hugepages "
           f"{machine['hugepages']}; commit {machine['commit']}; load {machine['load']:.1f}")
    noise = machine.get("noise")
    if noise:
        low, median, high = noise["cycles"]
        yield (f"noise: {noise['what']}: {low:.1f} / {median:.1f} / {high:.1f} of "
               f"{noise['samples']} samples, spread {noise['spread']:.0%}")


def repeats(records):
    """Of the repeats of one figure, the median over all records."""
    values = [(r["cycles"][2] - r["cycles"][0]) / r["cycles"][1] for r in records]
    return statistics.median(values) if values else 0.0
