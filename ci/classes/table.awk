# SPDX-License-Identifier: GPL-2.0-only
# Reads ci/classes/rows.txt, then kernel logs named TOOL-MACHINE.log; writes a Markdown table of who spoke up in which step.

# Serial consoles end lines with it.
{ sub(/\r$/, "") }

FNR == 1 {
	file = FILENAME
	sub(/.*\//, "", file)
	sub(/\.[a-z]+$/, "", file)
	split(file, name, "-")
	step = ""
}

file == "rows" {
	if ($0 !~ /^#/ && NF) {
		split($0, part, / *[|] */)
		row[++rows] = part[1] SUBSEP part[2]
		text[rows] = part[3]
	}
	next
}

# A step is the loading of a module, or its unloading, which comes with the same parameters.
/dmasan: step [0-9a-f]+ [0-9]+ begin / {
	step = name[1] SUBSEP name[2] SUBSEP value("test") SUBSEP value("bug")
	began[step] = 1
	next
}
/dmasan: step [0-9a-f]+ [0-9]+ end rc=/ {
	if ($0 !~ /end rc=0/)
		failed[step] = 1
	ended[step]++
	step = ""
	next
}
step == "" { next }

/BUG: DMASAN: / {
	class = $0
	sub(/.*BUG: DMASAN: /, "", class)
	sub(/ .*/, "", class)
	spoke("ours", "`" class "`")
}
/iommu: Detected page leak!/ && name[1] == "reference" { spoke("reference", "yes") }
/WARNING: drivers\/iommu\/iommu-debug-pagealloc\.c/ && !/check_unmapped/ { spoke("reference", "warns of its count") }
/DMA-API: .* pending DMA allocations/ { spoke("dma", "at unbind"); next }
/DMA-API: / && !/DMA-API: Mapped at:/ { spoke("dma", "yes") }
/BUG: KASAN: / { spoke("kasan", "yes") }
# What every kernel says, whoever looks.
/WARNING: / && !/iommu-debug-pagealloc|kernel\/dma\/debug/ && name[1] == "others" { spoke("kernel", "`WARN_ON()`") }
/DMAR: \[DMA / && name[1] == "others" { spoke("kernel", "address of the fault") }

function value(key,	text) {
	if (!match($0, " " key "=[^ ]*"))
		return ""
	text = substr($0, RSTART, RLENGTH)
	sub(/.*=/, "", text)
	return text
}

function spoke(tool, what,	key) {
	key = step SUBSEP tool
	if (index("; " said[key] "; ", "; " what "; ") == 0)
		said[key] = said[key] (said[key] == "" ? "" : "; ") what
}

# One cell; only one of the logs has what this tool says.
function cell(tool, log_name, machine_test,	twin, wrong, out) {
	wrong = log_name SUBSEP machine_test SUBSEP "1"
	twin = log_name SUBSEP machine_test SUBSEP "0"
	if (!(twin in began))
		return "not run"
	if (wrong in began)
		out = (wrong in failed) ? "not run: the case fails here" : (ended[wrong] < 2) ? "not run to its end" \
			: (said[wrong SUBSEP tool] == "") ? "no" : said[wrong SUBSEP tool]
	else
		out = "silent"
	if (twin in failed)
		return out "; twin not run"
	if (said[twin SUBSEP tool] != "")
		return (out == "silent" ? "" : out "; ") "**false alarm**"
	return out
}

END {
	print ""
	print "| the driver ... | dmasan, `=origin` | C reference | DMA_API_DEBUG | KASAN | any kernel |"
	print "|---|---|---|---|---|---|"
	for (i = 1; i <= rows; i++) {
		split(row[i], of, SUBSEP)
		if (of[1] != machine) {
			machine = of[1]
			if (machine == "passthrough")
				print "| **in passthrough (`iommu=pt`):** | | | | | |"
		}
		print "| " text[i] " | " cell("ours", "ours", row[i]) " | " cell("reference", "reference", row[i]) " | " \
			cell("dma", "others", row[i]) " | " cell("kasan", "others", row[i]) " | " \
			cell("kernel", "others", row[i]) " |"
	}
}
