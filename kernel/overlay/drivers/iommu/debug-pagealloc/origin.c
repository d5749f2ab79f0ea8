// SPDX-License-Identifier: GPL-2.0-only
/*
 * Slow paths of the hooks in the DMA API, the slab allocator and the driver
 * core: they take apart what C knows (scatterlists, devices, caches) and go on
 * in Rust (origin.rs). No policy here.
 */
#include <linux/device.h>
#include <linux/dma-mapping.h>
#include <linux/init.h>
#include <linux/iommu.h>
#include <linux/iommu-debug-dma.h>
#include <linux/kstrtox.h>
#include <linux/mm.h>
#include <linux/pci.h>
#include <linux/platform_device.h>
#include <linux/preempt.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/stackdepot.h>
#include <linux/stacktrace.h>
#include <linux/string.h>
#include <linux/timekeeping.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

#include "../../../mm/slab.h"
#include "../iommu-debug.h"

DEFINE_STATIC_KEY_FALSE(iommu_debug_origin);
DEFINE_STATIC_KEY_FALSE(iommu_debug_stale);

/* IOMMU drivers, and users of the IOMMU API, may be modules. */
EXPORT_SYMBOL_GPL(iommu_debug_origin);
EXPORT_SYMBOL_GPL(iommu_debug_stale);
EXPORT_SYMBOL_GPL(__iommu_debug_synced);
EXPORT_SYMBOL_GPL(__iommu_debug_fault);

unsigned int iommu_debug_origin_entries __ro_after_init = 65536;

/* Mappings that are remembered once they have ended. */
unsigned int iommu_debug_origin_ended __ro_after_init = 4096;

/* Whether memory is mapped until the IOTLB is invalidated: asked for, and done. */
bool iommu_debug_stale_wanted __ro_after_init;
bool iommu_debug_finds_stale __ro_after_init;

/* Only findings of this driver are of interest; if any. */
char iommu_debug_driver[32] __ro_after_init;

/* Reports that are printed; further findings are counted only. */
unsigned int iommu_debug_max_reports __ro_after_init = 1000;

/* Frames that are kept; each takes some 370 instructions more in each map. */
unsigned int iommu_debug_depth __ro_after_init = 4;

/*
 * Frames that are kept of an unmap; 0: only the caller, which costs nothing.
 * With frame pointers, functions of the DMA API call each other instead of
 * jumping, and the caller is one of them.
 */
static unsigned int unmap_depth __ro_after_init = IS_ENABLED(CONFIG_FRAME_POINTER) ? 4 : 0;

const u32 *iommu_debug_filter __ro_after_init;
u32 iommu_debug_huge;

/* Without "=", there is no value. */
static int __init number(char *value, unsigned int *to)
{
	return value ? kstrtouint(value, 0, to) : -EINVAL;
}

static int __init iommu_debug_origin_param(char *value)
{
	return number(value, &iommu_debug_origin_entries);
}
early_param("iommu.debug_origin_entries", iommu_debug_origin_param);

static int __init iommu_debug_ended_param(char *value)
{
	return number(value, &iommu_debug_origin_ended);
}
early_param("iommu.debug_origin_ended", iommu_debug_ended_param);

static int __init iommu_debug_depth_param(char *value)
{
	int ret = number(value, &iommu_debug_depth);

	iommu_debug_depth = clamp(iommu_debug_depth, 1, IOMMU_DEBUG_MAX_DEPTH);
	return ret;
}
early_param("iommu.debug_origin_depth", iommu_debug_depth_param);

static int __init iommu_debug_unmap_depth_param(char *value)
{
	int ret = number(value, &unmap_depth);

	unmap_depth = min(unmap_depth, IOMMU_DEBUG_MAX_DEPTH);
	return ret;
}
early_param("iommu.debug_origin_unmap_depth", iommu_debug_unmap_depth_param);

static int __init iommu_debug_stale_param(char *value)
{
	return kstrtobool(value, &iommu_debug_stale_wanted);
}
early_param("iommu.debug_stale_iotlb", iommu_debug_stale_param);

static int __init iommu_debug_reports_param(char *value)
{
	return number(value, &iommu_debug_max_reports);
}
early_param("iommu.debug_reports", iommu_debug_reports_param);

static int __init iommu_debug_driver_param(char *value)
{
	if (value && strscpy(iommu_debug_driver, value) > 0)
		return 0;
	return -EINVAL;
}
early_param("iommu.debug_origin_driver", iommu_debug_driver_param);

/* Whether there is a driver of this name, on a bus where most devices are. */
bool iommu_debug_has_driver(const char *name)
{
#ifdef CONFIG_PCI
	if (driver_find(name, &pci_bus_type))
		return true;
#endif
	return driver_find(name, &platform_bus_type);
}

void iommu_debug_origin_enable(const u32 *filter)
{
	iommu_debug_filter = filter;
	iommu_debug_finds_stale = iommu_debug_stale_wanted;
	if (iommu_debug_finds_stale)
		static_branch_enable(&iommu_debug_stale);
	static_branch_enable(&iommu_debug_origin);
}

void *iommu_debug_zalloc(size_t size)
{
	return vzalloc(size);
}

static raw_spinlock_t locks[] = {
	[0 ... IOMMU_DEBUG_LOCKS - 1] = __RAW_SPIN_LOCK_UNLOCKED(iommu_debug_locks),
};

unsigned long iommu_debug_lock(unsigned int which)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&locks[which], flags);
	return flags;
}

void iommu_debug_unlock(unsigned int which, unsigned long flags)
{
	raw_spin_unlock_irqrestore(&locks[which], flags);
}

bool iommu_debug_in_nmi(void)
{
	return in_nmi();
}

unsigned long iommu_debug_virt(phys_addr_t phys)
{
	return (unsigned long)phys_to_virt(phys);
}

u64 iommu_debug_now(void)
{
	return ktime_get_mono_fast_ns();
}

void iommu_debug_whoami(struct iommu_debug_who *who)
{
	who->when = ktime_get_mono_fast_ns();
	/* It may be changed meanwhile, but always has an end. */
	memcpy(who->comm, current->comm, sizeof(who->comm));
	who->pid = current->pid;
	who->cpu = raw_smp_processor_id();
}

static u32 save_entries(const unsigned long *entries, unsigned int count)
{
	return stack_depot_save((unsigned long *)entries, count, GFP_NOWAIT | __GFP_NOWARN);
}

/* In the hook itself, since each frame above it takes some hundred instructions. */
static __always_inline u32 save_frames(unsigned int depth)
{
	unsigned long entries[IOMMU_DEBUG_MAX_DEPTH] __uninitialized;
	/* Neither the hook nor the function of the DMA API. */
	unsigned int count = stack_trace_save(entries, depth, 2);

	return save_entries(entries, count);
}

static __always_inline u32 save_stack(void)
{
	return save_frames(iommu_debug_depth);
}

static __always_inline u32 save_unmap_stack(void)
{
	return unlikely(unmap_depth) ? save_frames(unmap_depth) : 0;
}

static unsigned int with_attrs(enum iommu_debug_kind kind, unsigned long attrs)
{
	return kind | attrs << IOMMU_DEBUG_KIND_BITS;
}

unsigned int iommu_debug_fetch_stack(u32 handle, unsigned long *entries, unsigned int count)
{
	unsigned long *saved;
	unsigned int n;

	if (!handle)
		return 0;
	n = min(stack_depot_fetch(handle, &saved), count);
	memcpy(entries, saved, n * sizeof(*entries));
	return n;
}

void iommu_debug_describe_device(struct device *dev, struct iommu_debug_device *info)
{
	strscpy(info->name, dev_name(dev));
	strscpy(info->driver, dev->driver ? dev->driver->name : "");
	info->domain = iommu_get_domain_for_dev(dev);
	info->is_translated = info->domain && info->domain->type & __IOMMU_DOMAIN_PAGING;
	info->page_shift = 12;
	if (info->is_translated && info->domain->pgsize_bitmap)
		info->page_shift = __ffs(info->domain->pgsize_bitmap);
	info->requester = -1;
	info->endpoint = -1;
#ifdef CONFIG_PCI
	if (dev_is_pci(dev)) {
		struct pci_dev *pdev = to_pci_dev(dev);

		info->requester = pci_domain_nr(pdev->bus) << 16 | pci_dev_id(pdev);
	}
#endif
#ifdef CONFIG_IOMMU_API
	struct iommu_fwspec *fwspec = dev_iommu_fwspec_get(dev);

	if (fwspec && fwspec->num_ids)
		info->endpoint = fwspec->ids[0];
#endif
}

/* The slab may go back at any time: then these are no pointers. */
static void describe_slab(const struct slab *slab, char *text, size_t size)
{
	struct kmem_cache *cache = READ_ONCE(slab->slab_cache);
	const char *name;
	int len = strscpy(text, "slab ", size);

	if (get_kernel_nofault(name, &cache->name) ||
	    strncpy_from_kernel_nofault(text + len, name, size - len) < 0)
		strscpy(text + len, "?", size - len);
}

/*
 * What the memory at @phys is used for: as good as can be told without locks,
 * as it may change at any time. False: there is no struct page.
 */
bool iommu_debug_describe_memory(phys_addr_t phys, char *text, size_t size)
{
	struct page *page = pfn_to_online_page(PHYS_PFN(phys));
	struct slab *slab;

	if (!page) {
		strscpy(text, "none of the kernel's", size);
		return false;
	}
	slab = page_slab(page);
	if (slab)
		describe_slab(slab, text, size);
	else if (PageReserved(page))
		strscpy(text, "reserved", size);
	else if (is_free_buddy_page(page) || (!page_count(page) && !page_has_type(page)))
		strscpy(text, "free", size);
	else
		strscpy(text, "allocated", size);
	return true;
}

/* Memory that @addr maps and vmalloc() has put together, run by run. */
static void add_vmalloc(struct device *dev, unsigned long virt, size_t size, int dir,
			dma_addr_t addr, unsigned int how, u32 stack)
{
	while (size) {
		struct page *page = vmalloc_to_page((void *)virt);
		phys_addr_t phys = page_to_phys(page) + offset_in_page(virt);
		size_t run = min(size, PAGE_SIZE - offset_in_page(virt));

		while (run < size &&
		       page_to_phys(vmalloc_to_page((void *)(virt + run))) == phys + run)
			run += min(size - run, PAGE_SIZE);
		iommu_debug_dma_add(dev, phys, run, dir, addr, how, stack);
		virt += run;
		addr += run;
		size -= run;
	}
}

/* Whether that failed, or is no memory, which is never freed. */
static bool is_nothing(dma_addr_t addr, unsigned long attrs)
{
	return addr == DMA_MAPPING_ERROR || attrs & DMA_ATTR_MMIO;
}

void __iommu_debug_dma_map(struct device *dev, phys_addr_t phys, size_t size, int dir,
			   dma_addr_t addr, unsigned long attrs, enum iommu_debug_kind kind)
{
	if (!is_nothing(addr, attrs))
		iommu_debug_dma_add(dev, phys, size, dir, addr, with_attrs(kind, attrs),
				    save_stack());
}

void iommu_debug_dma_map_from(struct device *dev, phys_addr_t phys, size_t size, int dir,
			      dma_addr_t addr, unsigned long attrs,
			      const unsigned long *entries, unsigned int count)
{
	if (!is_nothing(addr, attrs))
		iommu_debug_dma_add(dev, phys, size, dir, addr,
				    with_attrs(IOMMU_DEBUG_SINGLE, attrs),
				    save_entries(entries, count));
}

void __iommu_debug_dma_unmap(struct device *dev, dma_addr_t addr, size_t size, int dir,
			     unsigned long attrs, enum iommu_debug_kind kind,
			     unsigned long caller)
{
	if (attrs & DMA_ATTR_MMIO)
		return;
	/* See __iommu_debug_dma_alloc(). */
	if (kind == IOMMU_DEBUG_COHERENT && attrs & DMA_ATTR_NO_KERNEL_MAPPING)
		return;
	iommu_debug_dma_remove(dev, addr, size, dir, kind, caller, save_unmap_stack());
}

void __iommu_debug_dma_alloc(struct device *dev, void *virt, size_t size, dma_addr_t addr,
			     unsigned long attrs)
{
	unsigned int how = with_attrs(IOMMU_DEBUG_COHERENT, attrs);

	/* With this attribute, @virt is no address. */
	if (!virt || attrs & DMA_ATTR_NO_KERNEL_MAPPING)
		return;
	if (is_vmalloc_addr(virt))
		add_vmalloc(dev, (unsigned long)virt, size, DMA_BIDIRECTIONAL, addr, how,
			    save_stack());
	else if (virt_addr_valid(virt))
		iommu_debug_dma_add(dev, virt_to_phys(virt), size, DMA_BIDIRECTIONAL, addr, how,
				    save_stack());
	else
		iommu_debug_dma_skip();
}

/*
 * Entries are what memory consists of, and segments what the device sees: those
 * hold one or more entries each, in order.
 */
void __iommu_debug_dma_map_sg(struct device *dev, struct scatterlist *sgl, int nents, int dir,
			      unsigned long attrs)
{
	struct scatterlist *entry, *segment = sgl;
	unsigned int how;
	size_t done = 0;
	u32 stack;
	int i;

	if (attrs & DMA_ATTR_MMIO)
		return;
	how = with_attrs(IOMMU_DEBUG_SG, attrs);
	stack = save_stack();
	for_each_sg(sgl, entry, nents, i) {
		if (!segment || !sg_dma_len(segment))
			break;
		/* Another device's memory. */
		if (sg_dma_is_bus_address(segment)) {
			segment = sg_next(segment);
			continue;
		}
		iommu_debug_dma_add(dev, sg_phys(entry), entry->length, dir,
				    sg_dma_address(segment) + done, how, stack);
		done += entry->length;
		if (done >= sg_dma_len(segment)) {
			segment = sg_next(segment);
			done = 0;
		}
	}
}

void __iommu_debug_dma_unmap_sg(struct device *dev, struct scatterlist *sgl, int nents, int dir,
				unsigned long attrs, unsigned long caller)
{
	struct scatterlist *segment;
	u32 stack;
	int i;

	if (attrs & DMA_ATTR_MMIO)
		return;
	stack = save_unmap_stack();
	for_each_sg(sgl, segment, nents, i) {
		if (!sg_dma_len(segment))
			break;
		if (!sg_dma_is_bus_address(segment))
			iommu_debug_dma_remove(dev, sg_dma_address(segment), sg_dma_len(segment),
					       dir, IOMMU_DEBUG_SG, caller, stack);
	}
}

void __iommu_debug_check_object(struct kmem_cache *cache, const void *object, bool is_free)
{
	iommu_debug_check_range((unsigned long)object, virt_to_phys((void *)object),
				cache->object_size, cache->name, is_free);
}

void __iommu_debug_driver_unbound(struct device *dev)
{
	iommu_debug_unbound(dev);
}
