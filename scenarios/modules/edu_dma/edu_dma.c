// SPDX-License-Identifier: GPL-2.0-only
/*
 * Driver for the DMA engine of QEMU's "edu" PCI device, with one bug on request.
 *
 * probe() receives one page from the device, as a driver for real hardware would:
 * allocate, map, transfer, unmap, free. With bug=1 it frees the page first, and the
 * device, which nobody told, goes on writing to it. Whoever owns the page by then
 * finds the data of the device in it; the driver prints that, then unmaps the page.
 */
#include <linux/dma-mapping.h>
#include <linux/io.h>
#include <linux/iopoll.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/preempt.h>
#include <linux/string.h>

#define EDU_DMA_SRC		0x80
#define EDU_DMA_DST		0x88
#define EDU_DMA_COUNT		0x90
#define EDU_DMA_CMD		0x98
#define EDU_DMA_CMD_RUN		BIT(0)
#define EDU_DMA_CMD_TO_MEMORY	BIT(1)

/* The buffer inside the device. */
#define EDU_BUFFER		0x40000

/* The engine takes 100 ms for a transfer of any size. */
#define EDU_POLL_US		1000
#define EDU_TIMEOUT_US		(5 * USEC_PER_SEC)

/* How many pages to ask for until the freed one comes back. */
#define EDU_TRIES		1024

static const char edu_data[] = "data of the device";
static const char edu_victim[] = "data of the new owner of this page";

static bool bug;
module_param(bug, bool, 0444);
MODULE_PARM_DESC(bug, "free the receive page before it is unmapped");

struct edu {
	struct pci_dev *pdev;
	void __iomem *regs;
};

static int edu_transfer(struct edu *edu, u32 src, u32 dst, u32 size, u32 direction)
{
	u32 cmd;

	writel(src, edu->regs + EDU_DMA_SRC);
	writel(dst, edu->regs + EDU_DMA_DST);
	writel(size, edu->regs + EDU_DMA_COUNT);
	writel(EDU_DMA_CMD_RUN | direction, edu->regs + EDU_DMA_CMD);

	return readl_poll_timeout(edu->regs + EDU_DMA_CMD, cmd,
				  !(cmd & EDU_DMA_CMD_RUN), EDU_POLL_US, EDU_TIMEOUT_US);
}

static int edu_send(struct edu *edu, dma_addr_t from, u32 size)
{
	return edu_transfer(edu, from, EDU_BUFFER, size, 0);
}

static int edu_receive(struct edu *edu, dma_addr_t to, u32 size)
{
	return edu_transfer(edu, EDU_BUFFER, to, size, EDU_DMA_CMD_TO_MEMORY);
}

/* Fill the device's buffer, so that there is something to receive. */
static int edu_load(struct edu *edu)
{
	struct device *dev = &edu->pdev->dev;
	dma_addr_t dma;
	char *buf;
	int ret;

	buf = kmemdup(edu_data, sizeof(edu_data), GFP_KERNEL);
	if (!buf)
		return -ENOMEM;

	dma = dma_map_single(dev, buf, sizeof(edu_data), DMA_TO_DEVICE);
	ret = dma_mapping_error(dev, dma);
	if (!ret) {
		ret = edu_send(edu, dma, sizeof(edu_data));
		dma_unmap_single(dev, dma, sizeof(edu_data), DMA_TO_DEVICE);
	}

	kfree(buf);
	return ret;
}

/*
 * Allocate until the page with this pfn comes back: any other part of the kernel could
 * have got it. It is the last one freed on this CPU, hence usually the first one tried.
 */
static struct page *edu_page_again(unsigned long pfn)
{
	struct page *page, *next, *found = NULL;
	LIST_HEAD(others);
	int i;

	for (i = 0; i < EDU_TRIES && !found; i++) {
		page = alloc_page(GFP_KERNEL);
		if (!page)
			break;
		if (page_to_pfn(page) == pfn)
			found = page;
		else
			list_add(&page->lru, &others);
	}

	list_for_each_entry_safe(page, next, &others, lru) {
		list_del(&page->lru);
		__free_page(page);
	}
	return found;
}

/* Let the device write to a page that is somebody else's by now, and show it. */
static int edu_corrupt(struct edu *edu, struct page *page, dma_addr_t dma)
{
	struct device *dev = &edu->pdev->dev;
	char *text = page_address(page);
	int ret;

	strscpy(text, edu_victim, PAGE_SIZE);
	dev_info(dev, "pfn 0x%lx has a new owner, who wrote: \"%s\"\n",
		 page_to_pfn(page), text);

	ret = edu_receive(edu, dma, sizeof(edu_data));
	if (ret)
		return ret;

	dev_info(dev, "pfn 0x%lx after the transfer: \"%s\"%s\n", page_to_pfn(page),
		 text, strcmp(text, edu_data) ? "" : ", corrupted by the device");
	return 0;
}

/*
 * The bug: the page goes back to the allocator while the device can write to it. Not
 * inlined, so that reports name it.
 */
static noinline int edu_free_early(struct edu *edu, struct page *page, dma_addr_t dma)
{
	struct device *dev = &edu->pdev->dev;
	unsigned long pfn = page_to_pfn(page);
	struct page *again;
	int ret = -EAGAIN;

	migrate_disable();
	__free_page(page);
	again = edu_page_again(pfn);
	migrate_enable();

	if (again)
		ret = edu_corrupt(edu, again, dma);
	else
		dev_warn(dev, "pfn 0x%lx did not come back\n", pfn);

	dma_unmap_page(dev, dma, PAGE_SIZE, DMA_FROM_DEVICE);
	if (again)
		__free_page(again);
	return ret;
}

static int edu_receive_page(struct edu *edu)
{
	struct device *dev = &edu->pdev->dev;
	struct page *page;
	dma_addr_t dma;
	int ret;

	page = alloc_page(GFP_KERNEL | __GFP_ZERO);
	if (!page)
		return -ENOMEM;

	dma = dma_map_page(dev, page, 0, PAGE_SIZE, DMA_FROM_DEVICE);
	ret = dma_mapping_error(dev, dma);
	if (ret)
		goto out_free;

	ret = edu_receive(edu, dma, sizeof(edu_data));
	if (bug && !ret)
		return edu_free_early(edu, page, dma);

	dma_unmap_page(dev, dma, PAGE_SIZE, DMA_FROM_DEVICE);
	if (!ret)
		dev_info(dev, "received: \"%s\"\n", (char *)page_address(page));
out_free:
	__free_page(page);
	return ret;
}

static int edu_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct device *dev = &pdev->dev;
	struct edu *edu;
	int ret;

	edu = devm_kzalloc(dev, sizeof(*edu), GFP_KERNEL);
	if (!edu)
		return -ENOMEM;
	edu->pdev = pdev;
	pci_set_drvdata(pdev, edu);

	ret = pcim_enable_device(pdev);
	if (ret)
		return ret;

	edu->regs = pcim_iomap_region(pdev, 0, KBUILD_MODNAME);
	if (IS_ERR(edu->regs))
		return PTR_ERR(edu->regs);

	/* The device has 28 address lines. */
	ret = dma_set_mask_and_coherent(dev, DMA_BIT_MASK(28));
	if (ret)
		return ret;
	pci_set_master(pdev);

	ret = edu_load(edu);
	if (!ret)
		ret = edu_receive_page(edu);
	if (ret)
		return dev_err_probe(dev, ret, "no transfer\n");
	return 0;
}

static void edu_remove(struct pci_dev *pdev)
{
	pci_clear_master(pdev);
}

static const struct pci_device_id edu_ids[] = {
	{ PCI_DEVICE(0x1234, 0x11e8) },
	{ }
};
MODULE_DEVICE_TABLE(pci, edu_ids);

static struct pci_driver edu_driver = {
	.name = KBUILD_MODNAME,
	.id_table = edu_ids,
	.probe = edu_probe,
	.remove = edu_remove,
};
module_pci_driver(edu_driver);

MODULE_DESCRIPTION("QEMU edu device: a DMA use-after-free on request");
MODULE_LICENSE("GPL");
