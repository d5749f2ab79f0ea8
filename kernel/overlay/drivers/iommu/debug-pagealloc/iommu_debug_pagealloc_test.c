// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of the DMA sanitizer: what must be counted and reported, and what
 * must not. The hooks are reached through iommu_map() and iommu_unmap() on a
 * mock domain, and through the page allocator.
 *
 * Needs iommu.debug_pagealloc=1; the reports appear in the kernel log.
 */
#include "mock.h"

static void test_map_unmap_balance(struct kunit *test)
{
	struct mock *mock = mock_new(test, PAGE_SIZE);
	struct page *page = new_pages(test, 3);

	expect_counts(test, page, 8, 0);
	KUNIT_EXPECT_EQ(test, mock_map(mock, 0, page_to_phys(page), 8 * PAGE_SIZE), 0);
	expect_counts(test, page, 8, 1);
	KUNIT_EXPECT_EQ(test, mock_map(mock, 16 * PAGE_SIZE, page_to_phys(page), PAGE_SIZE), 0);
	expect_counts(test, page, 1, 2);
	KUNIT_EXPECT_EQ(test, mock_unmap(mock, 0, 8 * PAGE_SIZE), 8 * PAGE_SIZE);
	expect_counts(test, page, 1, 1);
	expect_counts(test, page + 1, 7, 0);
	KUNIT_EXPECT_EQ(test, mock_unmap(mock, 16 * PAGE_SIZE, PAGE_SIZE), PAGE_SIZE);
	expect_counts(test, page, 8, 0);
	__free_pages(page, 3);
}

static void test_map_small_unmap_large(struct kunit *test)
{
	struct mock *mock = mock_new(test, PAGE_SIZE);
	struct page *page = new_pages(test, 3);
	phys_addr_t phys = page_to_phys(page);

	for (int i = 0; i < 8; i++)
		KUNIT_EXPECT_EQ(test, mock_map(mock, i * PAGE_SIZE, phys + i * PAGE_SIZE,
					       PAGE_SIZE), 0);
	expect_counts(test, page, 8, 1);
	KUNIT_EXPECT_EQ(test, mock_unmap(mock, 0, 8 * PAGE_SIZE), 8 * PAGE_SIZE);
	expect_counts(test, page, 8, 0);

	KUNIT_EXPECT_EQ(test, mock_map(mock, 0, phys, 8 * PAGE_SIZE), 0);
	for (int i = 0; i < 8; i++)
		KUNIT_EXPECT_EQ(test, mock_unmap(mock, i * PAGE_SIZE, PAGE_SIZE), PAGE_SIZE);
	expect_counts(test, page, 8, 0);
	__free_pages(page, 3);
}

/* Counters of upper levels: a range of several blocks. */
static void test_map_blocks(struct kunit *test)
{
	struct mock *mock = mock_new(test, PAGE_SIZE);
	struct page *page = new_pages(test, 8);
	phys_addr_t phys = page_to_phys(page);

	__iommu_debug_map(&mock->domain, phys, 256 * PAGE_SIZE);
	expect_counts(test, page, 256, 1);
	for (int i = 0; i < 256; i++)
		count_down(mock, phys + i * PAGE_SIZE, PAGE_SIZE);
	expect_counts(test, page, 256, 0);

	__iommu_debug_map(&mock->domain, phys + PAGE_SIZE, 254 * PAGE_SIZE);
	expect_counts(test, page, 1, 0);
	expect_counts(test, page + 1, 254, 1);
	expect_counts(test, page + 255, 1, 0);
	count_down(mock, phys + PAGE_SIZE, 254 * PAGE_SIZE);
	expect_counts(test, page, 256, 0);
	__free_pages(page, 8);
}

static void test_partial_map(struct kunit *test)
{
	struct mock *mock = mock_new(test, PAGE_SIZE);
	struct page *page = new_pages(test, 3);

	mock->room = 3;
	KUNIT_EXPECT_EQ(test, mock_map(mock, 0, page_to_phys(page), 8 * PAGE_SIZE), -ENOMEM);
	expect_counts(test, page, 8, 0);
	__free_pages(page, 3);
}

static void test_partial_unmap(struct kunit *test)
{
	struct mock *mock = mock_new(test, PAGE_SIZE);
	struct page *page = new_pages(test, 3);

	KUNIT_EXPECT_EQ(test, mock_map(mock, 0, page_to_phys(page), 8 * PAGE_SIZE), 0);
	KUNIT_EXPECT_EQ(test, mock_unmap(mock, 4 * PAGE_SIZE, PAGE_SIZE), PAGE_SIZE);
	/* Stops at the hole: what lies behind it stays mapped, and counted. */
	KUNIT_EXPECT_EQ(test, mock_unmap(mock, 0, 8 * PAGE_SIZE), 4 * PAGE_SIZE);
	expect_counts(test, page, 5, 0);
	expect_counts(test, page + 5, 3, 1);
	KUNIT_EXPECT_EQ(test, mock_unmap(mock, 5 * PAGE_SIZE, 3 * PAGE_SIZE), 3 * PAGE_SIZE);
	expect_counts(test, page, 8, 0);
	__free_pages(page, 3);
}

static void test_unmap_more_than_asked(struct kunit *test)
{
	struct mock *mock = mock_new(test, PAGE_SIZE);
	struct page *page = new_pages(test, 3);

	mock->leaf = 8;
	KUNIT_EXPECT_EQ(test, mock_map(mock, 0, page_to_phys(page), 8 * PAGE_SIZE), 0);
	KUNIT_EXPECT_EQ(test, mock_unmap(mock, 0, PAGE_SIZE), 8 * PAGE_SIZE);
	expect_counts(test, page, 8, 0);
	__free_pages(page, 3);
}

static void test_unmap_scattered(struct kunit *test)
{
	struct mock *mock = mock_new(test, PAGE_SIZE);
	struct page *one = new_pages(test, 0), *two = new_pages(test, 0);

	KUNIT_EXPECT_EQ(test, mock_map(mock, 0, page_to_phys(two), PAGE_SIZE), 0);
	KUNIT_EXPECT_EQ(test, mock_map(mock, PAGE_SIZE, page_to_phys(one), PAGE_SIZE), 0);
	KUNIT_EXPECT_EQ(test, mock_unmap(mock, 0, 2 * PAGE_SIZE), 2 * PAGE_SIZE);
	expect_counts(test, one, 1, 0);
	expect_counts(test, two, 1, 0);
	__free_page(one);
	__free_page(two);
}

/* A driver that clears a hole, too, and one that unmaps a page at a time. */
static void test_unmap_with_hole(struct kunit *test)
{
	struct mock *mock = mock_new(test, PAGE_SIZE);
	struct page *page = new_pages(test, 2);

	mock->domain.pgsize_bitmap |= 4 * PAGE_SIZE;
	mock->holes = true;
	KUNIT_EXPECT_EQ(test, mock_map(mock, PAGE_SIZE, page_to_phys(page), PAGE_SIZE), 0);
	KUNIT_EXPECT_EQ(test, mock_map(mock, 3 * PAGE_SIZE, page_to_phys(page + 2), PAGE_SIZE), 0);
	KUNIT_EXPECT_EQ(test, mock_unmap(mock, 0, 4 * PAGE_SIZE), 4 * PAGE_SIZE);
	expect_counts(test, page, 4, 0);
	__free_pages(page, 2);
}

static void test_unmap_page_at_a_time(struct kunit *test)
{
	struct mock *mock = mock_new(test, PAGE_SIZE);
	struct page *page = new_pages(test, 5);

	mock->single = true;
	/* Every other page: more runs than are looked up at once. */
	for (int i = 0; i < 32; i++)
		KUNIT_EXPECT_EQ(test, mock_map(mock, i * PAGE_SIZE,
					       page_to_phys(page + (i * 2 + i / 16) % 32),
					       PAGE_SIZE), 0);
	expect_counts(test, page, 32, 1);
	mock->translations = 0;
	KUNIT_EXPECT_EQ(test, mock_unmap(mock, 0, 32 * PAGE_SIZE), 32 * PAGE_SIZE);
	expect_counts(test, page, 32, 0);
	/* One for each page, and one for each time that the runs were full. */
	KUNIT_EXPECT_LE(test, mock->translations, 32 + 2);
	__free_pages(page, 5);
}

/* The IOMMU's page is smaller than the CPU's: parts of a page add up. */
static void test_granule_smaller_than_page(struct kunit *test)
{
	struct mock *mock = mock_new(test, PAGE_SIZE / 4);
	struct page *page = new_pages(test, 1);
	phys_addr_t phys = page_to_phys(page);

	KUNIT_EXPECT_EQ(test, mock_map(mock, 0, phys, PAGE_SIZE / 4), 0);
	KUNIT_EXPECT_EQ(test, mock_map(mock, PAGE_SIZE / 4, phys + PAGE_SIZE / 4, PAGE_SIZE), 0);
	expect_counts(test, page, 1, 4);
	expect_counts(test, page + 1, 1, 1);
	KUNIT_EXPECT_EQ(test, mock_unmap(mock, 0, PAGE_SIZE / 2), PAGE_SIZE / 2);
	expect_counts(test, page, 1, 2);
	KUNIT_EXPECT_EQ(test, mock_unmap(mock, PAGE_SIZE / 2, 3 * PAGE_SIZE / 4),
			3 * PAGE_SIZE / 4);
	expect_counts(test, page, 2, 0);
	__free_pages(page, 1);
}

/* A page of which a part is still mapped, and one of which no part is any more. */
static void test_free_with_part_mapped(struct kunit *test)
{
	struct mock *mock = mock_new(test, PAGE_SIZE / 4);
	struct page *page = new_pages(test, 0);
	unsigned long before = iommu_debug_test_findings();

	KUNIT_EXPECT_EQ(test, mock_map(mock, 0, page_to_phys(page), PAGE_SIZE), 0);
	KUNIT_EXPECT_EQ(test, mock_unmap(mock, 0, PAGE_SIZE / 2), PAGE_SIZE / 2);
	KUNIT_EXPECT_EQ(test, mock_unmap(mock, 3 * PAGE_SIZE / 4, PAGE_SIZE / 4), PAGE_SIZE / 4);
	expect_counts(test, page, 1, 1);
	__free_page(page);
	KUNIT_EXPECT_EQ(test, iommu_debug_test_findings(), before + 1);

	KUNIT_ASSERT_TRUE(test, get_back(page));
	KUNIT_EXPECT_EQ(test, mock_unmap(mock, PAGE_SIZE / 2, PAGE_SIZE / 4), PAGE_SIZE / 4);
	__free_page(page);
	KUNIT_EXPECT_EQ(test, iommu_debug_test_findings(), before + 1);
}

/* The IOMMU's page is larger than the CPU's: each page that it covers counts. */
static void test_granule_larger_than_page(struct kunit *test)
{
	struct mock *mock = mock_new(test, 16 * PAGE_SIZE);
	struct page *page = new_pages(test, 5);
	phys_addr_t phys = page_to_phys(page);

	KUNIT_EXPECT_EQ(test, mock_map(mock, 0, phys, 32 * PAGE_SIZE), 0);
	expect_counts(test, page, 32, 1);
	KUNIT_EXPECT_EQ(test, mock_unmap(mock, 16 * PAGE_SIZE, 16 * PAGE_SIZE), 16 * PAGE_SIZE);
	expect_counts(test, page, 16, 1);
	expect_counts(test, page + 16, 16, 0);
	KUNIT_EXPECT_EQ(test, mock_unmap(mock, 0, 16 * PAGE_SIZE), 16 * PAGE_SIZE);
	expect_counts(test, page, 32, 0);
	/* One for each of the IOMMU's pages. */
	KUNIT_EXPECT_EQ(test, mock->translations, 2);

	/* More than was asked, and a page table that tells what it clears. */
	mock->leaf = 2;
	for (int reports = 0; reports < 2; reports++) {
		mock->reports = reports;
		mock->domain.debug_reports = reports;
		KUNIT_EXPECT_EQ(test, mock_map(mock, 0, phys, 32 * PAGE_SIZE), 0);
		KUNIT_EXPECT_EQ(test, mock_unmap(mock, 0, 16 * PAGE_SIZE), 32 * PAGE_SIZE);
		expect_counts(test, page, 32, 0);
	}
	__free_pages(page, 5);
}

/* Each of the pages that it covers is a finding, not only the first one. */
static void test_free_with_larger_granule(struct kunit *test)
{
	struct mock *mock = mock_new(test, 4 * PAGE_SIZE);
	struct page *page = new_pages(test, 3);
	phys_addr_t phys = page_to_phys(page);
	unsigned long before;

	split_page(page, 3);
	for (int i = 0; i < 8; i++) {
		before = iommu_debug_test_findings();
		KUNIT_EXPECT_EQ(test, mock_map(mock, 0, phys, 8 * PAGE_SIZE), 0);
		__free_page(page + i);
		KUNIT_EXPECT_EQ_MSG(test, iommu_debug_test_findings(), before + 1, "page %d", i);
		KUNIT_ASSERT_TRUE(test, get_back(page + i));
		KUNIT_EXPECT_EQ(test, mock_unmap(mock, 0, 8 * PAGE_SIZE), 8 * PAGE_SIZE);
	}
	before = iommu_debug_test_findings();
	for (int i = 0; i < 8; i++)
		__free_page(page + i);
	KUNIT_EXPECT_EQ(test, iommu_debug_test_findings(), before);
}

/* IOMMUs with pages of different sizes: each takes away what it has added. */
static void test_granules_of_two_domains(struct kunit *test)
{
	struct mock *small = mock_new(test, PAGE_SIZE / 4);
	struct mock *large = mock_new(test, 4 * PAGE_SIZE);
	struct page *page = new_pages(test, 2);
	phys_addr_t phys = page_to_phys(page);

	KUNIT_EXPECT_EQ(test, mock_map(small, 0, phys + PAGE_SIZE, PAGE_SIZE), 0);
	KUNIT_EXPECT_EQ(test, mock_map(large, 0, phys, 4 * PAGE_SIZE), 0);
	expect_counts(test, page, 1, 1);
	expect_counts(test, page + 1, 1, 5);
	expect_counts(test, page + 2, 2, 1);
	KUNIT_EXPECT_EQ(test, mock_unmap(small, 0, PAGE_SIZE), PAGE_SIZE);
	expect_counts(test, page, 4, 1);
	KUNIT_EXPECT_EQ(test, mock_map(small, 0, phys + PAGE_SIZE, PAGE_SIZE), 0);
	KUNIT_EXPECT_EQ(test, mock_unmap(large, 0, 4 * PAGE_SIZE), 4 * PAGE_SIZE);
	expect_counts(test, page, 1, 0);
	expect_counts(test, page + 1, 1, 4);
	expect_counts(test, page + 2, 2, 0);
	KUNIT_EXPECT_EQ(test, mock_unmap(small, 0, PAGE_SIZE), PAGE_SIZE);
	expect_counts(test, page, 4, 0);
	__free_pages(page, 2);
}

static void test_address_zero(struct kunit *test)
{
	struct mock *mock = mock_new(test, PAGE_SIZE);
	int before = iommu_debug_test_count(0);

	if (before == INT_MIN)
		kunit_skip(test, "there is no memory at address 0");
	KUNIT_EXPECT_EQ(test, mock_map(mock, 0, 0, 2 * PAGE_SIZE), 0);
	KUNIT_EXPECT_EQ(test, iommu_debug_test_count(0), before + 1);
	KUNIT_EXPECT_EQ(test, mock_unmap(mock, 0, 2 * PAGE_SIZE), 2 * PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, iommu_debug_test_count(0), before);
}

/* Addresses without memory, up to the last one, and ranges that pass it. */
static void test_no_page(struct kunit *test)
{
	struct mock *mock = mock_new(test, PAGE_SIZE);
	phys_addr_t last = -(phys_addr_t)PAGE_SIZE;

	KUNIT_EXPECT_EQ(test, iommu_debug_test_count(PHYS_PFN(last)), INT_MIN);
	KUNIT_EXPECT_EQ(test, mock_map(mock, 0, SZ_1T, 4 * PAGE_SIZE), 0);
	KUNIT_EXPECT_EQ(test, mock_unmap(mock, 0, 4 * PAGE_SIZE), 4 * PAGE_SIZE);
	__iommu_debug_map(&mock->domain, last, PAGE_SIZE);
	count_down(mock, last - PAGE_SIZE, 2 * PAGE_SIZE);
}

static void test_address_overflow(struct kunit *test)
{
	struct mock *mock = mock_new(test, PAGE_SIZE);
	phys_addr_t last = -(phys_addr_t)PAGE_SIZE;
	int before = iommu_debug_test_count(0);

	__iommu_debug_map(&mock->domain, last, 2 * PAGE_SIZE);
	count_down(mock, last, 2 * PAGE_SIZE);
	__iommu_debug_map(&mock->domain, last, 2 * PAGE_SIZE);
	__iommu_debug_unmap_differs(-PAGE_SIZE, 2 * PAGE_SIZE, 0);
	KUNIT_EXPECT_EQ(test, iommu_debug_test_count(0), before);
}

static void test_free_while_mapped(struct kunit *test)
{
	struct mock *mock = mock_new(test, PAGE_SIZE);
	struct page *page = new_pages(test, 0);
	unsigned long before = iommu_debug_test_findings();

	KUNIT_EXPECT_EQ(test, mock_map(mock, 0, page_to_phys(page), PAGE_SIZE), 0);
	__free_page(page);
	KUNIT_EXPECT_EQ(test, iommu_debug_test_findings(), before + 1);

	/* The page is used again, and freed, while the mapping is still there. */
	KUNIT_ASSERT_TRUE(test, get_back(page));
	__free_page(page);
	KUNIT_EXPECT_EQ(test, iommu_debug_test_findings(), before + 1);

	/* The mapping is gone: the next bug with this page is another one. */
	KUNIT_ASSERT_TRUE(test, get_back(page));
	KUNIT_EXPECT_EQ(test, mock_unmap(mock, 0, PAGE_SIZE), PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, mock_map(mock, 0, page_to_phys(page), PAGE_SIZE), 0);
	__free_page(page);
	KUNIT_EXPECT_EQ(test, iommu_debug_test_findings(), before + 2);
	KUNIT_EXPECT_EQ(test, mock_unmap(mock, 0, PAGE_SIZE), PAGE_SIZE);
}

static void test_free_after_unmap_is_silent(struct kunit *test)
{
	struct mock *mock = mock_new(test, PAGE_SIZE);
	struct page *page = new_pages(test, 0);
	unsigned long before = iommu_debug_test_findings();

	KUNIT_EXPECT_EQ(test, mock_map(mock, 0, page_to_phys(page), PAGE_SIZE), 0);
	KUNIT_EXPECT_EQ(test, mock_unmap(mock, 0, PAGE_SIZE), PAGE_SIZE);
	__free_page(page);
	KUNIT_ASSERT_TRUE(test, get_back(page));
	__free_page(page);
	KUNIT_EXPECT_EQ(test, iommu_debug_test_findings(), before);
}

static void test_free_with_inner_page_mapped(struct kunit *test)
{
	struct mock *mock = mock_new(test, PAGE_SIZE);
	struct page *page = new_pages(test, 3);
	unsigned long before = iommu_debug_test_findings();

	KUNIT_EXPECT_EQ(test, mock_map(mock, 0, page_to_phys(page + 5), PAGE_SIZE), 0);
	__free_pages(page, 3);
	KUNIT_EXPECT_EQ(test, iommu_debug_test_findings(), before + 1);
	KUNIT_EXPECT_EQ(test, mock_unmap(mock, 0, PAGE_SIZE), PAGE_SIZE);
}

/* One mapping, and one report, though the pages are freed one by one. */
static void test_free_page_by_page(struct kunit *test)
{
	struct mock *mock = mock_new(test, PAGE_SIZE);
	struct page *page = new_pages(test, 4);
	unsigned long before = iommu_debug_test_findings();

	split_page(page, 4);
	KUNIT_EXPECT_EQ(test, mock_map(mock, 0, page_to_phys(page), 16 * PAGE_SIZE), 0);
	for (int i = 0; i < 16; i++)
		__free_page(page + i);
	KUNIT_EXPECT_EQ(test, iommu_debug_test_findings(), before + 1);
	KUNIT_EXPECT_EQ(test, mock_unmap(mock, 0, 16 * PAGE_SIZE), 16 * PAGE_SIZE);
}

/* A page that was mapped when it was free already. */
static void test_alloc_while_mapped(struct kunit *test)
{
	struct mock *mock = mock_new(test, PAGE_SIZE);
	struct page *page = new_pages(test, 0);
	unsigned long before = iommu_debug_test_findings();

	__free_page(page);
	KUNIT_EXPECT_EQ(test, mock_map(mock, 0, page_to_phys(page), PAGE_SIZE), 0);
	KUNIT_ASSERT_TRUE(test, get_back(page));
	KUNIT_EXPECT_EQ(test, iommu_debug_test_findings(), before + 1);
	KUNIT_EXPECT_EQ(test, mock_unmap(mock, 0, PAGE_SIZE), PAGE_SIZE);
	__free_page(page);
	KUNIT_EXPECT_EQ(test, iommu_debug_test_findings(), before + 1);
}

static void expect_imbalance(struct kunit *test, int units, int count)
{
	struct page *page = new_pages(test, 0);
	unsigned long pfn = page_to_pfn(page);
	unsigned long before = iommu_debug_test_findings();

	iommu_debug_test_add(pfn, units);
	KUNIT_EXPECT_EQ(test, iommu_debug_test_count(pfn), count);
	__free_page(page);
	KUNIT_EXPECT_EQ(test, iommu_debug_test_findings(), before + 1);
	KUNIT_ASSERT_TRUE(test, get_back(page));
	__free_page(page);
	KUNIT_EXPECT_EQ(test, iommu_debug_test_findings(), before + 1);
	iommu_debug_test_add(pfn, -units);
	KUNIT_EXPECT_EQ(test, iommu_debug_test_count(pfn), 0);
}

static void test_count_underflow(struct kunit *test)
{
	expect_imbalance(test, -1, -1);
}

/* Counts have 31 bits: the largest one, and one more. */
static void test_count_overflow(struct kunit *test)
{
	expect_imbalance(test, INT_MAX / 2, INT_MAX / 2);
	expect_imbalance(test, INT_MAX / 2 + 1, INT_MIN / 2);
}

/* A region that is mapped on purpose is no finding, but a leak on top of it is. */
static void test_direct_region(struct kunit *test)
{
	struct mock *mock = mock_new(test, PAGE_SIZE), *other = mock_new(test, PAGE_SIZE);
	struct page *page = new_pages(test, 0);
	phys_addr_t phys = page_to_phys(page);
	unsigned long before = iommu_debug_test_findings();

	__iommu_debug_direct_map(&mock->domain, phys, PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, mock_map(mock, 0, phys, PAGE_SIZE), 0);
	__free_page(page);
	KUNIT_ASSERT_TRUE(test, get_back(page));
	KUNIT_EXPECT_EQ(test, iommu_debug_test_findings(), before);

	KUNIT_EXPECT_EQ(test, mock_map(other, 0, phys, PAGE_SIZE), 0);
	__free_page(page);
	KUNIT_EXPECT_EQ(test, iommu_debug_test_findings(), before + 1);
	KUNIT_EXPECT_EQ(test, mock_unmap(other, 0, PAGE_SIZE), PAGE_SIZE);

	KUNIT_EXPECT_EQ(test, mock_unmap(mock, 0, PAGE_SIZE), PAGE_SIZE);
	mock_free(mock);
	expect_counts(test, page, 1, 0);

	/* The region is gone: the page is like any other. */
	KUNIT_ASSERT_TRUE(test, get_back(page));
	KUNIT_EXPECT_EQ(test, mock_map(mock, 0, phys, PAGE_SIZE), 0);
	__free_page(page);
	KUNIT_EXPECT_EQ(test, iommu_debug_test_findings(), before + 2);
	KUNIT_EXPECT_EQ(test, mock_unmap(mock, 0, PAGE_SIZE), PAGE_SIZE);
}

/* A page of a direct region has as many units as granules. */
static void test_direct_region_granule(struct kunit *test)
{
	struct mock *mock = mock_new(test, PAGE_SIZE / 4);
	struct page *page = new_pages(test, 0);
	phys_addr_t phys = page_to_phys(page);
	unsigned long before = iommu_debug_test_findings();

	__iommu_debug_direct_map(&mock->domain, phys, PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, mock_map(mock, 0, phys, PAGE_SIZE), 0);
	expect_counts(test, page, 1, 4);
	__free_page(page);
	KUNIT_EXPECT_EQ(test, iommu_debug_test_findings(), before);
	KUNIT_EXPECT_EQ(test, mock_unmap(mock, 0, PAGE_SIZE), PAGE_SIZE);
	mock_free(mock);
}

static struct kunit_case dmasan_cases[] = {
	KUNIT_CASE(test_map_unmap_balance),
	KUNIT_CASE(test_map_small_unmap_large),
	KUNIT_CASE(test_map_blocks),
	KUNIT_CASE(test_partial_map),
	KUNIT_CASE(test_partial_unmap),
	KUNIT_CASE(test_unmap_more_than_asked),
	KUNIT_CASE(test_unmap_scattered),
	KUNIT_CASE(test_unmap_with_hole),
	KUNIT_CASE(test_unmap_page_at_a_time),
	KUNIT_CASE(test_granule_smaller_than_page),
	KUNIT_CASE(test_free_with_part_mapped),
	KUNIT_CASE(test_granule_larger_than_page),
	KUNIT_CASE(test_free_with_larger_granule),
	KUNIT_CASE(test_granules_of_two_domains),
	KUNIT_CASE(test_address_zero),
	KUNIT_CASE(test_no_page),
	KUNIT_CASE(test_address_overflow),
	KUNIT_CASE(test_free_while_mapped),
	KUNIT_CASE(test_free_after_unmap_is_silent),
	KUNIT_CASE(test_free_with_inner_page_mapped),
	KUNIT_CASE(test_free_page_by_page),
	KUNIT_CASE(test_alloc_while_mapped),
	KUNIT_CASE(test_count_underflow),
	KUNIT_CASE(test_count_overflow),
	KUNIT_CASE(test_direct_region),
	KUNIT_CASE(test_direct_region_granule),
	{}
};

static struct kunit_suite dmasan_suite = {
	.name = "iommu_debug_pagealloc",
	.init = mock_init,
	.test_cases = dmasan_cases,
};

kunit_test_suite(dmasan_suite);
