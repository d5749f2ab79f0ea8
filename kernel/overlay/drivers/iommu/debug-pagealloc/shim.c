// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the DMA sanitizer needs and Rust cannot say in this kernel: definitions
 * made by macros, and inline functions without a Rust helper. No policy here.
 */
#include <linux/export.h>
#include <linux/init.h>
#include <linux/iommu-debug-pagealloc.h>
#include <linux/kstrtox.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/page_ext.h>
#include <linux/page_owner.h>
#include <linux/printk.h>

DEFINE_STATIC_KEY_FALSE(iommu_debug_initialized);
EXPORT_SYMBOL_GPL(iommu_debug_initialized);

/* Page table formats may be modules. */
EXPORT_SYMBOL_GPL(__iommu_debug_unmapped);

bool iommu_debug_wanted __ro_after_init;

static int __init iommu_debug_param(char *value)
{
	return kstrtobool(value, &iommu_debug_wanted);
}
early_param("iommu.debug_pagealloc", iommu_debug_param);

static __init bool iommu_debug_need(void)
{
	return iommu_debug_wanted;
}

/* Eight bytes, so that the other clients' data stays aligned. */
struct page_ext_operations page_iommu_debug_ops = {
	.size = sizeof(u64),
	.need = iommu_debug_need,
};

void iommu_debug_enable(void)
{
	static_branch_enable(&iommu_debug_initialized);
}

/*
 * The slot of the section's first page; those of the others follow at a
 * distance of page_ext_size. NULL if there is no such section, or it is offline
 * or has no page_ext. The caller holds the RCU read lock.
 */
void *iommu_debug_section_slots(unsigned long section)
{
	struct page_ext *page_ext;

	if (section >= NR_MEM_SECTIONS || !online_section(__nr_to_section(section)))
		return NULL;

	page_ext = page_ext_lookup(section_nr_to_pfn(section));
	return page_ext ? page_ext_data(page_ext, &page_iommu_debug_ops) : NULL;
}

unsigned long iommu_debug_page_to_pfn(const struct page *page)
{
	return page_to_pfn(page);
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
