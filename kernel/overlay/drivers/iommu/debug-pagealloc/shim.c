// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the DMA sanitizer needs and Rust cannot say in this kernel: definitions
 * made by macros, per-CPU counters, and inline functions without a Rust helper.
 * No policy here.
 */
#include <linux/export.h>
#include <linux/gfp.h>
#include <linux/init.h>
#include <linux/iommu-debug-dma.h>
#include <linux/kstrtox.h>
#include <linux/memory.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/page_owner.h>
#include <linux/percpu.h>
#include <linux/printk.h>
#include <linux/sched.h>
#include <linux/string.h>
#include <linux/vmalloc.h>

#include "../iommu-debug.h"

DEFINE_STATIC_KEY_FALSE(iommu_debug_initialized);
EXPORT_SYMBOL_GPL(iommu_debug_initialized);

/* Page table formats may be modules. */
EXPORT_SYMBOL_GPL(__iommu_debug_cleared);
EXPORT_SYMBOL_GPL(__iommu_debug_domain_leaf);

bool iommu_debug_wanted __ro_after_init;
bool iommu_debug_origin_wanted __ro_after_init;

static int __init iommu_debug_param(char *value)
{
	iommu_debug_origin_wanted = value && !strcmp(value, "origin");
	if (iommu_debug_origin_wanted) {
		iommu_debug_wanted = true;
		return 0;
	}
	if (!kstrtobool(value, &iommu_debug_wanted))
		return 0;
	pr_warn("iommu: debug-pagealloc: \"%s\" is none of 0, 1 and origin: off\n", value ?: "");
	iommu_debug_wanted = false;
	return 0;
}
early_param("iommu.debug_pagealloc", iommu_debug_param);

void iommu_debug_enable(void)
{
	static_branch_enable(&iommu_debug_initialized);
}

DEFINE_PER_CPU(struct iommu_debug_traffic, iommu_debug_traffic);

struct iommu_debug_traffic iommu_debug_traffic_sum(void)
{
	struct iommu_debug_traffic sum = {};
	int cpu;

	for_each_possible_cpu(cpu) {
		struct iommu_debug_traffic *here = per_cpu_ptr(&iommu_debug_traffic, cpu);

		sum.maps += here->maps;
		sum.mapped += here->mapped;
		sum.unmaps += here->unmaps;
		sum.unmapped += here->unmapped;
		sum.checks += here->checks;
	}
	return sum;
}

/* Slow paths of the checks; they go on in Rust. */

void __iommu_debug_check_unmapped(const struct page *page, int numpages)
{
	this_cpu_inc(iommu_debug_traffic.checks);
	iommu_debug_check_alloc(page_to_pfn(page), numpages);
	if (iommu_debug_origin_enabled())
		iommu_debug_check_origin(page_to_pfn(page), numpages, false);
}

void __iommu_debug_check_freed(const struct page *page, int numpages)
{
	this_cpu_inc(iommu_debug_traffic.checks);
	iommu_debug_check_free(page_to_pfn(page), numpages);
	if (iommu_debug_origin_enabled())
		iommu_debug_check_origin(page_to_pfn(page), numpages, true);
}

/* Memory that stays; its physical pages are as close to the section as can be. */
void *iommu_debug_alloc_counters(unsigned long section, size_t size)
{
	int nid = pfn_to_nid(section_nr_to_pfn(section));
	void *counters;

	counters = alloc_pages_exact_nid(nid, size, GFP_KERNEL | __GFP_ZERO | __GFP_NOWARN);
	return counters ?: vzalloc_node(size, nid);
}

void iommu_debug_resched(void)
{
	cond_resched();
}

bool iommu_debug_present(unsigned long section)
{
	return present_section_nr(section);
}

/*
 * Whether a page may ever be the page allocator's. Doorbells for MSIs may lie in
 * a section that has memory, too, and are reserved.
 */
bool iommu_debug_is_memory(unsigned long pfn)
{
	struct page *page = pfn_to_online_page(pfn);

	return page && !PageReserved(page);
}

static int iommu_debug_memory(struct notifier_block *self, unsigned long action, void *arg)
{
	struct memory_notify *memory = arg;

	if (action == MEM_GOING_ONLINE)
		iommu_debug_add_pages(memory->start_pfn, memory->nr_pages);
	return NOTIFY_OK;
}

void iommu_debug_watch_memory(void)
{
	hotplug_memory_notifier(iommu_debug_memory, DEFAULT_CALLBACK_PRI);
}

void iommu_debug_dump_page_owner(unsigned long pfn)
{
#ifdef CONFIG_PAGE_OWNER
	if (static_branch_unlikely(&page_owner_inited)) {
		pr_err("\n");
		pr_err("page owner:\n");
		__dump_page_owner(pfn_to_page(pfn));
	}
#endif
}

/* After deferred probes. */
late_initcall_sync(iommu_debug_late_init);
