/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Misuses of the DMA and IOMMU interfaces, one function each, and work that is correct
 * but that a sanitizer can get wrong.
 *
 * With @bug unset the function does the same work without what the case is about. All
 * of them leave nothing mapped behind, so that many can run in one boot. They return 0
 * when everything took place as intended, or an error, which makes the module fail to
 * load.
 */
#ifndef CASES_H
#define CASES_H

#include <linux/device.h>
#include <linux/gfp_types.h>
#include <linux/mm_types.h>
#include <linux/pci.h>
#include <linux/types.h>

int case_order3(struct device *dev, bool bug);
int case_twice(struct device *dev, bool bug);
int case_sg(struct device *dev, bool bug);
int case_vmalloc(struct device *dev, bool bug);
int case_cpu(struct device *dev, bool bug);
int case_domain(struct device *dev, bool bug);
int case_gone(struct device *dev, bool bug);
int case_gone_reused(struct device *dev, bool bug);
int case_huge(struct device *dev, bool bug);
int case_huge_pages(struct device *dev, bool bug);
int case_again(struct device *dev, bool bug);
int case_reuse(struct device *dev, bool bug);
int case_failed_map(struct device *dev, bool bug);
int case_map_fails(struct device *dev, bool bug);
int case_map_over(struct device *dev, bool bug);
int case_map_over_parts(struct device *dev, bool bug);
int case_over_unmap(struct device *dev, bool bug);
int case_over_unmap_16k(struct device *dev, bool bug);
int case_unmap_hole(struct device *dev, bool bug);
int case_address_zero(struct device *dev, bool bug);
int case_last_address(struct device *dev, bool bug);
int case_no_memory(struct device *dev, bool bug);
int case_offline(struct device *dev, bool bug);
int case_race(struct device *dev, bool bug);
int case_object(struct device *dev, bool bug);
int case_object_large(struct device *dev, bool bug);
int case_object_cache(struct device *dev, bool bug);
int case_object_bulk(struct device *dev, bool bug);
int case_object_rcu(struct device *dev, bool bug);
int case_object_skb(struct device *dev, bool bug);
int case_object_again(struct device *dev, bool bug);
int case_owned_page(struct device *dev, bool bug);
int case_repeated_page(struct device *dev, bool bug);
int case_owned_sg(struct device *dev, bool bug);
int case_owned_buffers(struct device *dev, bool bug);
int case_shared(struct device *dev, bool bug);
int case_skip_sync(struct device *dev, bool bug);
int case_turns(struct device *dev, bool bug);
int case_mmio(struct device *dev, bool bug);
int case_page_pool(struct device *dev, bool bug);
int case_dma_buf(struct device *dev, bool bug);
int case_stale_page(struct device *dev, bool bug);
int case_stale_object(struct device *dev, bool bug);
int case_stale_read(struct device *dev, bool bug);
int case_all_errors(struct device *dev, bool bug);
int case_unmap_not_mapped(struct device *dev, bool bug);
int case_unmap_twice(struct device *dev, bool bug);
int case_unmap_size(struct device *dev, bool bug);
int case_unmap_kind(struct device *dev, bool bug);
int case_unmap_coherent(struct device *dev, bool bug);
int case_unmap_direction(struct device *dev, bool bug);
int case_late_write(struct device *dev, bool bug);
int case_late_read(struct device *dev, bool bug);
int case_late_freed(struct device *dev, bool bug);
int case_late_reused(struct device *dev, bool bug);
int case_late_remapped(struct device *dev, bool bug);
int case_late_reported(struct device *dev, bool bug);
int case_iotlb_fast(struct device *dev, bool bug);
int case_iotlb_lazy(struct device *dev, bool bug);
int case_same_page(struct device *dev, bool bug);

/* Run once probe() is done and its locks are released. */
int case_unbound(struct pci_dev *pdev, bool bug);
int case_removed(struct pci_dev *pdev, bool bug);
int case_removed_late(struct pci_dev *pdev, bool bug);
int case_group_type(struct pci_dev *pdev, bool bug);

/* Map a whole page for the device to write; an error code comes back as such. */
int map_page(struct device *dev, struct page *page, dma_addr_t *dma);
void unmap_page(struct device *dev, dma_addr_t dma);

/*
 * Allocate until pages come whose first is between two pfns, both included. NULL if
 * half of all memory was tried in vain.
 */
struct page *get_pages_in(unsigned long first, unsigned long last, gfp_t gfp,
			  unsigned int order);

/*
 * Free pages and get the same ones from the allocator again, on one CPU because the
 * last page freed is kept per CPU. NULL if they did not come back.
 */
struct page *free_and_get_again(struct page *page, unsigned int order);

/* The DMA engine of the device. */
struct edu {
	void __iomem *regs;
};

int edu_begin(struct device *dev, struct edu *edu);
void edu_end(struct device *dev, struct edu *edu);

/* Start a transfer of the device to or from memory; only edu_wait() tells its end. */
void edu_write(struct edu *edu, dma_addr_t to, u32 size);
void edu_read(struct edu *edu, dma_addr_t from, u32 size);
int edu_wait(struct edu *edu);

/* Carry out one line of a shell's language; an error if its exit status is not 0. */
int shell(const char *line);

#endif
