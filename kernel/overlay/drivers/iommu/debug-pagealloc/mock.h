/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A mock IOMMU domain for the KUnit tests of the DMA sanitizer.
 */
#ifndef __IOMMU_DEBUG_PAGEALLOC_MOCK_H
#define __IOMMU_DEBUG_PAGEALLOC_MOCK_H

#include <kunit/test.h>
#include <linux/cpumask.h>
#include <linux/gfp.h>
#include <linux/iommu.h>
#include <linux/iommu-debug-pagealloc.h>
#include <linux/limits.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/sizes.h>
#include <linux/smp.h>

#include "../iommu-priv.h"

#define MOCK_ENTRIES	64
#define MOCK_IOVA	SZ_1G

/* A domain whose page table is an array with one entry for each granule. */
struct mock {
	struct iommu_domain domain;
	phys_addr_t table[MOCK_ENTRIES];
	bool present[MOCK_ENTRIES];
	size_t granule;
	unsigned int leaf;	/* granules that can only be unmapped together */
	unsigned int room;	/* granules that can be mapped before it fails */
	bool holes;		/* what is not mapped is unmapped all the same */
	bool single;		/* unmaps one granule at a time */
	bool reports;		/* tells what it clears, and is not asked */
	bool loses;		/* forgets what it is to unmap, and fails */
	unsigned int translations;
	unsigned long watched;	/* a page whose count is noted */
	int count_in_map;	/* before its entry is there */
	int count_in_unmap;	/* after its entry is gone */
};

static inline struct mock *to_mock(struct iommu_domain *domain)
{
	return container_of(domain, struct mock, domain);
}

static inline unsigned int mock_index(struct mock *mock, unsigned long iova)
{
	return (iova - MOCK_IOVA) / mock->granule;
}

static inline int mock_map_pages(struct iommu_domain *domain, unsigned long iova,
				 phys_addr_t phys, size_t pgsize, size_t count,
				 int prot, gfp_t gfp, size_t *mapped)
{
	struct mock *mock = to_mock(domain);
	unsigned int index = mock_index(mock, iova);

	mock->count_in_map = iommu_debug_test_count(mock->watched);
	for (*mapped = 0; *mapped < pgsize * count; *mapped += mock->granule) {
		if (!mock->room)
			return -ENOMEM;
		mock->room--;
		mock->present[index] = true;
		mock->table[index++] = phys + *mapped;
	}
	return 0;
}

static inline size_t mock_unmap_pages(struct iommu_domain *domain, unsigned long iova,
				      size_t pgsize, size_t count,
				      struct iommu_iotlb_gather *gather)
{
	struct mock *mock = to_mock(domain);
	unsigned int index = mock_index(mock, iova);
	size_t unmapped = 0;

	if (mock->single)
		count = 1;
	while (unmapped < pgsize * count && (mock->present[index] || mock->holes)) {
		if (mock->reports && mock->present[index])
			iommu_debug_cleared(gather, mock->table[index],
					    mock->leaf * mock->granule);
		for (unsigned int i = 0; i < mock->leaf; i++)
			mock->present[index++] = false;
		unmapped += mock->leaf * mock->granule;
	}
	mock->count_in_unmap = iommu_debug_test_count(mock->watched);
	return mock->loses ? 0 : unmapped;
}

static inline phys_addr_t mock_iova_to_phys(struct iommu_domain *domain, dma_addr_t iova)
{
	struct mock *mock = to_mock(domain);
	unsigned int index = mock_index(mock, iova);

	mock->translations++;
	if (iova < MOCK_IOVA || index >= MOCK_ENTRIES || !mock->present[index])
		return 0;
	return mock->table[index] + (iova & (mock->granule - 1));
}

static const struct iommu_domain_ops mock_ops = {
	.map_pages = mock_map_pages,
	.unmap_pages = mock_unmap_pages,
	.iova_to_phys = mock_iova_to_phys,
};

static inline struct mock *mock_new(struct kunit *test, size_t granule)
{
	struct mock *mock = kunit_kzalloc(test, sizeof(*mock), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, mock);
	mock->domain.type = IOMMU_DOMAIN_UNMANAGED;
	mock->domain.ops = &mock_ops;
	mock->domain.pgsize_bitmap = granule;
	mock->granule = granule;
	mock->leaf = 1;
	mock->room = UINT_MAX;
	mock->watched = PHYS_PFN(PHYS_ADDR_MAX);
	return mock;
}

static inline int mock_map(struct mock *mock, size_t offset, phys_addr_t phys, size_t size)
{
	return iommu_map(&mock->domain, MOCK_IOVA + offset, phys, size,
			 IOMMU_READ | IOMMU_WRITE, GFP_KERNEL);
}

static inline size_t mock_unmap(struct mock *mock, size_t offset, size_t size)
{
	return iommu_unmap(&mock->domain, MOCK_IOVA + offset, size);
}

static inline struct page *new_pages(struct kunit *test, unsigned int order)
{
	struct page *page = alloc_pages(GFP_KERNEL, order);

	KUNIT_ASSERT_NOT_NULL(test, page);
	return page;
}

static inline void expect_counts(struct kunit *test, struct page *page, unsigned int pages,
				 int count)
{
	for (unsigned int i = 0; i < pages; i++)
		KUNIT_EXPECT_EQ_MSG(test, iommu_debug_test_count(page_to_pfn(page) + i),
				    count, "page %u", i);
}

/* As an unmap does when it is done. */
static inline void count_down(struct mock *mock, phys_addr_t phys, size_t size)
{
	struct iommu_debug_cleared cleared = {
		.domain = &mock->domain,
		.last = { .phys = phys, .size = size },
	};

	__iommu_debug_count_down(&cleared);
}

/* As iommu_domain_free() does, with a page table that reports what it frees. */
static inline void mock_free(struct mock *mock)
{
	struct iommu_debug_teardown teardown;

	__iommu_debug_domain_free(&mock->domain, &teardown);
	for (unsigned int i = 0; mock->reports && i < MOCK_ENTRIES; i++)
		if (mock->present[i])
			__iommu_debug_domain_leaf(&mock->domain,
						  MOCK_IOVA + i * mock->granule,
						  mock->table[i], mock->granule);
	__iommu_debug_domain_freed(&teardown);
}

/* Allocates until @page, just freed, comes back, and frees what came before it. */
static inline bool get_back(struct page *page)
{
	unsigned long tries = totalram_pages() / 2;
	LIST_HEAD(others);
	struct page *other, *next;
	bool found = false;

	while (!found && tries--) {
		other = alloc_page(GFP_KERNEL | __GFP_NORETRY | __GFP_NOWARN);
		if (!other)
			break;
		found = other == page;
		if (!found)
			list_add(&other->lru, &others);
	}
	list_for_each_entry_safe(other, next, &others, lru) {
		list_del(&other->lru);
		__free_page(other);
	}
	return found;
}

static inline int mock_init(struct kunit *test)
{
	if (!static_key_enabled(&iommu_debug_initialized))
		kunit_skip(test, "needs iommu.debug_pagealloc=1");
	/*
	 * A page that is freed waits on a list of its CPU, where get_back() looks for it.
	 * This thread ends with the case.
	 */
	return set_cpus_allowed_ptr(current, cpumask_of(raw_smp_processor_id()));
}

#endif /* __IOMMU_DEBUG_PAGEALLOC_MOCK_H */
