// SPDX-License-Identifier: GPL-2.0-only
/*
 * The DMA engine of the edu device. It waits for 100 ms before it moves the first
 * byte, so that a driver has time to do something wrong meanwhile.
 */
#include <linux/io.h>
#include <linux/iopoll.h>
#include <linux/pci.h>

#include "cases.h"

#define EDU_DMA_SRC		0x80
#define EDU_DMA_DST		0x88
#define EDU_DMA_COUNT		0x90
#define EDU_DMA_CMD		0x98
#define EDU_DMA_CMD_RUN		BIT(0)
#define EDU_DMA_CMD_TO_MEMORY	BIT(1)

/* The buffer inside the device. */
#define EDU_BUFFER		0x40000

#define EDU_POLL_US		1000
#define EDU_TIMEOUT_US		(5 * USEC_PER_SEC)

int edu_begin(struct device *dev, struct edu *edu)
{
	struct pci_dev *pdev = to_pci_dev(dev);

	edu->regs = pci_iomap(pdev, 0, 0);
	if (!edu->regs)
		return -ENOMEM;
	pci_set_master(pdev);
	return 0;
}

void edu_end(struct device *dev, struct edu *edu)
{
	struct pci_dev *pdev = to_pci_dev(dev);

	pci_clear_master(pdev);
	pci_iounmap(pdev, edu->regs);
}

static void start(struct edu *edu, u32 src, u32 dst, u32 size, u32 direction)
{
	writel(src, edu->regs + EDU_DMA_SRC);
	writel(dst, edu->regs + EDU_DMA_DST);
	writel(size, edu->regs + EDU_DMA_COUNT);
	writel(EDU_DMA_CMD_RUN | direction, edu->regs + EDU_DMA_CMD);
}

void edu_write(struct edu *edu, dma_addr_t to, u32 size)
{
	start(edu, EDU_BUFFER, to, size, EDU_DMA_CMD_TO_MEMORY);
}

void edu_read(struct edu *edu, dma_addr_t from, u32 size)
{
	start(edu, from, EDU_BUFFER, size, 0);
}

int edu_wait(struct edu *edu)
{
	u32 cmd;

	return readl_poll_timeout(edu->regs + EDU_DMA_CMD, cmd, !(cmd & EDU_DMA_CMD_RUN),
				  EDU_POLL_US, EDU_TIMEOUT_US);
}
