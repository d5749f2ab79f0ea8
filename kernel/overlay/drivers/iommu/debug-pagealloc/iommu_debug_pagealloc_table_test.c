// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of the DMA sanitizer with page tables that report what they clear,
 * and of what happens between a call and the change of the page table.
 *
 * Needs iommu.debug_pagealloc=1; the reports appear in the kernel log.
 */
#include <kunit/device.h>
#include <linux/io-pgtable.h>

#include "mock.h"

/* A page counts before a device can reach it, and until it no longer can. */
static void test_counted_while_live(struct kunit *test)
{
	struct mock *mock = mock_new(test, PAGE_SIZE);
	struct page *page = new_pages(test, 0);

	mock->watched = page_to_pfn(page);
	KUNIT_EXPECT_EQ(test, mock_map(mock, 0, page_to_phys(page), PAGE_SIZE), 0);
	KUNIT_EXPECT_EQ(test, mock->count_in_map, 1);
	KUNIT_EXPECT_EQ(test, mock_unmap(mock, 0, PAGE_SIZE), PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, mock->count_in_unmap, 1);
	expect_counts(test, page, 1, 0);

	mock->reports = true;
	mock->domain.debug_reports = true;
	KUNIT_EXPECT_EQ(test, mock_map(mock, 0, page_to_phys(page), PAGE_SIZE), 0);
	KUNIT_EXPECT_EQ(test, mock_unmap(mock, 0, PAGE_SIZE), PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, mock->count_in_unmap, 1);
	expect_counts(test, page, 1, 0);
	__free_page(page);
}

/* A page that is freed in the middle of a map is one that a device can reach. */
static void test_free_during_map(struct kunit *test)
{
	struct mock *mock = mock_new(test, PAGE_SIZE);
	struct page *page = new_pages(test, 0);
	unsigned long before = iommu_debug_test_findings();

	iommu_debug_map(&mock->domain, page_to_phys(page), PAGE_SIZE);
	__free_page(page);
	KUNIT_EXPECT_EQ(test, iommu_debug_test_findings(), before + 1);
	count_down(mock, page_to_phys(page), PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, iommu_debug_test_count(page_to_pfn(page)), 0);
}

static struct mock *mock_reporting(struct kunit *test)
{
	struct mock *mock = mock_new(test, PAGE_SIZE);

	mock->reports = true;
	mock->domain.debug_reports = true;
	return mock;
}

static void test_reports_are_not_translated(struct kunit *test)
{
	struct mock *mock = mock_reporting(test);
	struct page *page = new_pages(test, 5);

	/* In an order that makes as many runs as pages: more than are kept. */
	for (int i = 0; i < 32; i++)
		KUNIT_EXPECT_EQ(test, mock_map(mock, i * PAGE_SIZE,
					       page_to_phys(page + (i * 5) % 32),
					       PAGE_SIZE), 0);
	expect_counts(test, page, 32, 1);
	KUNIT_EXPECT_EQ(test, mock_unmap(mock, 0, 32 * PAGE_SIZE), 32 * PAGE_SIZE);
	expect_counts(test, page, 32, 0);
	KUNIT_EXPECT_EQ(test, mock->translations, 0);
	__free_pages(page, 5);
}

static void test_reports_more_than_asked(struct kunit *test)
{
	struct mock *mock = mock_reporting(test);
	struct page *page = new_pages(test, 3);

	mock->leaf = 8;
	KUNIT_EXPECT_EQ(test, mock_map(mock, 0, page_to_phys(page), 8 * PAGE_SIZE), 0);
	KUNIT_EXPECT_EQ(test, mock_unmap(mock, 0, PAGE_SIZE), 8 * PAGE_SIZE);
	expect_counts(test, page, 8, 0);
	__free_pages(page, 3);
}

/* Who forgets a mapping and then fails leaves the device with it. */
static void test_reports_and_fails(struct kunit *test)
{
	struct mock *mock = mock_reporting(test);
	struct page *page = new_pages(test, 0);
	unsigned long before = iommu_debug_test_findings();

	KUNIT_EXPECT_EQ(test, mock_map(mock, 0, page_to_phys(page), PAGE_SIZE), 0);
	mock->loses = true;
	KUNIT_EXPECT_EQ(test, mock_unmap(mock, 0, PAGE_SIZE), 0);
	expect_counts(test, page, 1, 1);
	__free_page(page);
	KUNIT_EXPECT_EQ(test, iommu_debug_test_findings(), before + 1);
	count_down(mock, page_to_phys(page), PAGE_SIZE);
}

/* What a domain of the DMA API maps at its end was leaked: one report of it. */
static void test_domain_leak(struct kunit *test)
{
	struct mock *mock = mock_reporting(test);
	struct page *page = new_pages(test, 2);
	unsigned long before = iommu_debug_test_findings();

	mock->domain.type = IOMMU_DOMAIN_DMA;
	KUNIT_EXPECT_EQ(test, mock_map(mock, 0, page_to_phys(page), 2 * PAGE_SIZE), 0);
	KUNIT_EXPECT_EQ(test, mock_map(mock, 3 * PAGE_SIZE, page_to_phys(page + 3),
				       PAGE_SIZE), 0);
	mock_free(mock);
	KUNIT_EXPECT_EQ(test, iommu_debug_test_findings(), before + 1);
	expect_counts(test, page, 4, 0);
	__free_pages(page, 2);
	KUNIT_EXPECT_EQ(test, iommu_debug_test_findings(), before + 1);
}

/* No leak: an empty one, one that a driver made, direct regions, and MMIO. */
static void test_domain_without_leak(struct kunit *test)
{
	struct mock *empty = mock_reporting(test), *own = mock_reporting(test);
	struct mock *direct = mock_reporting(test), *mmio = mock_reporting(test);
	struct page *page = new_pages(test, 0);
	phys_addr_t phys = page_to_phys(page);
	unsigned long before = iommu_debug_test_findings();

	empty->domain.type = IOMMU_DOMAIN_DMA;
	mock_free(empty);

	KUNIT_EXPECT_EQ(test, mock_map(own, 0, phys, PAGE_SIZE), 0);
	mock_free(own);
	expect_counts(test, page, 1, 0);

	direct->domain.type = IOMMU_DOMAIN_DMA;
	__iommu_debug_direct_map(&direct->domain, phys, PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, mock_map(direct, 0, phys, PAGE_SIZE), 0);
	mock_free(direct);
	expect_counts(test, page, 1, 0);

	mmio->domain.type = IOMMU_DOMAIN_DMA;
	KUNIT_EXPECT_EQ(test, mock_map(mmio, 0, SZ_1T, PAGE_SIZE), 0);
	mock_free(mmio);

	__free_page(page);
	KUNIT_EXPECT_EQ(test, iommu_debug_test_findings(), before);
}

#if IS_ENABLED(CONFIG_IOMMU_IO_PGTABLE_LPAE)
/* The page tables of Arm's SMMUs, which need no such machine. */
struct lpae {
	struct iommu_domain domain;
	struct io_pgtable_ops *ops;
};

static struct lpae *to_lpae(struct iommu_domain *domain)
{
	return container_of(domain, struct lpae, domain);
}

static int lpae_map_pages(struct iommu_domain *domain, unsigned long iova,
			  phys_addr_t phys, size_t pgsize, size_t count,
			  int prot, gfp_t gfp, size_t *mapped)
{
	struct io_pgtable_ops *ops = to_lpae(domain)->ops;

	return ops->map_pages(ops, iova, phys, pgsize, count, prot, gfp, mapped);
}

static size_t lpae_unmap_pages(struct iommu_domain *domain, unsigned long iova,
			       size_t pgsize, size_t count,
			       struct iommu_iotlb_gather *gather)
{
	struct io_pgtable_ops *ops = to_lpae(domain)->ops;

	return ops->unmap_pages(ops, iova, pgsize, count, gather);
}

/* Nobody is to ask: the page table reports. */
static phys_addr_t lpae_iova_to_phys(struct iommu_domain *domain, dma_addr_t iova)
{
	return 0;
}

static void lpae_domain_free(struct iommu_domain *domain)
{
	free_io_pgtable_ops(to_lpae(domain)->ops);
}

static const struct iommu_domain_ops lpae_ops = {
	.map_pages = lpae_map_pages,
	.unmap_pages = lpae_unmap_pages,
	.iova_to_phys = lpae_iova_to_phys,
	.free = lpae_domain_free,
};

static void lpae_flush_all(void *cookie)
{
}

static void lpae_flush_walk(unsigned long iova, size_t size, size_t granule,
			    void *cookie)
{
}

static void lpae_add_page(struct iommu_iotlb_gather *gather, unsigned long iova,
			  size_t granule, void *cookie)
{
}

static const struct iommu_flush_ops lpae_flush_ops = {
	.tlb_flush_all = lpae_flush_all,
	.tlb_flush_walk = lpae_flush_walk,
	.tlb_add_page = lpae_add_page,
};

static struct lpae *lpae_new(struct kunit *test)
{
	struct device *dev = kunit_device_register(test, "dmasan-lpae");
	struct lpae *lpae = kunit_kzalloc(test, sizeof(*lpae), GFP_KERNEL);
	struct io_pgtable_cfg cfg = {
		.pgsize_bitmap = SZ_4K | SZ_2M | SZ_1G,
		.ias = 48,
		.oas = 48,
		.coherent_walk = true,
		.tlb = &lpae_flush_ops,
		.iommu_dev = dev,
	};

	if (PAGE_SIZE != SZ_4K)
		kunit_skip(test, "takes pages of 4K for granted");
	KUNIT_ASSERT_NOT_NULL(test, lpae);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, dev);
	cfg.domain = &lpae->domain;
	lpae->domain.type = IOMMU_DOMAIN_UNMANAGED;
	lpae->domain.ops = &lpae_ops;
	lpae->ops = alloc_io_pgtable_ops(ARM_64_LPAE_S1, &cfg, lpae);
	KUNIT_ASSERT_NOT_NULL(test, lpae->ops);
	lpae->domain.pgsize_bitmap = cfg.pgsize_bitmap;
	KUNIT_EXPECT_TRUE(test, lpae->domain.debug_reports);
	return lpae;
}

static void lpae_map(struct kunit *test, struct lpae *lpae, unsigned long iova,
		     struct page *page, size_t size)
{
	KUNIT_EXPECT_EQ(test, iommu_map(&lpae->domain, iova, page_to_phys(page), size,
					IOMMU_READ | IOMMU_WRITE, GFP_KERNEL), 0);
}

static void test_lpae_pages(struct kunit *test)
{
	struct lpae *lpae = lpae_new(test);
	struct page *page = new_pages(test, 3);
	struct iommu_domain *domain = &lpae->domain;

	lpae_map(test, lpae, SZ_1G, page, 4 * SZ_4K);
	lpae_map(test, lpae, SZ_1G + 4 * SZ_4K, page + 6, SZ_4K);
	expect_counts(test, page, 4, 1);
	expect_counts(test, page + 4, 2, 0);
	expect_counts(test, page + 6, 1, 1);
	KUNIT_EXPECT_EQ(test, iommu_unmap(domain, SZ_1G, SZ_4K), SZ_4K);
	expect_counts(test, page, 1, 0);
	expect_counts(test, page + 1, 3, 1);
	KUNIT_EXPECT_EQ(test, iommu_unmap(domain, SZ_1G + SZ_4K, 4 * SZ_4K), 4 * SZ_4K);
	expect_counts(test, page, 8, 0);
	iommu_domain_free(domain);
	__free_pages(page, 3);
}

/* A block entry, a whole table that is unmapped at once, and a freed domain. */
static void test_lpae_tables(struct kunit *test)
{
	struct lpae *lpae = lpae_new(test);
	struct page *page = new_pages(test, get_order(SZ_2M));
	struct iommu_domain *domain = &lpae->domain;

	lpae_map(test, lpae, SZ_1G, page, SZ_2M);
	expect_counts(test, page, SZ_2M / SZ_4K, 1);
	KUNIT_EXPECT_EQ(test, iommu_unmap(domain, SZ_1G, SZ_2M), SZ_2M);
	expect_counts(test, page, SZ_2M / SZ_4K, 0);

	for (unsigned long off = 0; off < SZ_2M; off += SZ_4K)
		lpae_map(test, lpae, SZ_1G + off, page + off / SZ_4K, SZ_4K);
	expect_counts(test, page, SZ_2M / SZ_4K, 1);
	KUNIT_EXPECT_EQ(test, iommu_unmap(domain, SZ_1G, SZ_2M), SZ_2M);
	expect_counts(test, page, SZ_2M / SZ_4K, 0);

	lpae_map(test, lpae, SZ_1G, page, SZ_2M);
	lpae_map(test, lpae, SZ_2G, page + 3, SZ_4K);
	expect_counts(test, page + 3, 1, 2);
	iommu_domain_free(domain);
	expect_counts(test, page, SZ_2M / SZ_4K, 0);
	__free_pages(page, get_order(SZ_2M));
}
#endif

static struct kunit_case dmasan_table_cases[] = {
	KUNIT_CASE(test_counted_while_live),
	KUNIT_CASE(test_free_during_map),
	KUNIT_CASE(test_reports_are_not_translated),
	KUNIT_CASE(test_reports_more_than_asked),
	KUNIT_CASE(test_reports_and_fails),
	KUNIT_CASE(test_domain_leak),
	KUNIT_CASE(test_domain_without_leak),
#if IS_ENABLED(CONFIG_IOMMU_IO_PGTABLE_LPAE)
	KUNIT_CASE(test_lpae_pages),
	KUNIT_CASE(test_lpae_tables),
#endif
	{}
};

static struct kunit_suite dmasan_table_suite = {
	.name = "iommu_debug_pagealloc_table",
	.init = mock_init,
	.test_cases = dmasan_table_cases,
};

kunit_test_suite(dmasan_table_suite);
