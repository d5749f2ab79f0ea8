// SPDX-License-Identifier: GPL-2.0-only
/*
 * A buffer that devices share: it is mapped for each of them, again and again, and its
 * pages are kept in between.
 */
#include <linux/dma-buf.h>
#include <linux/dma-mapping.h>
#include <linux/mm.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>

#include "cases.h"

#define PAGES 4

#if IS_ENABLED(CONFIG_DMA_SHARED_BUFFER)
/* MODULE_IMPORT_NS() wants it without quotes in old kernels. */
MODULE_INFO(import_ns, "DMA_BUF");

struct buffer {
	struct page *pages[PAGES];
};

static struct sg_table *buffer_map(struct dma_buf_attachment *attachment,
				   enum dma_data_direction dir)
{
	struct buffer *buffer = attachment->dmabuf->priv;
	struct sg_table *table = kzalloc(sizeof(*table), GFP_KERNEL);
	int ret;

	if (!table)
		return ERR_PTR(-ENOMEM);
	ret = sg_alloc_table_from_pages(table, buffer->pages, PAGES, 0, PAGES * PAGE_SIZE,
					GFP_KERNEL);
	if (ret)
		goto free_table;
	ret = dma_map_sgtable(attachment->dev, table, dir, 0);
	if (!ret)
		return table;
	sg_free_table(table);
free_table:
	kfree(table);
	return ERR_PTR(ret);
}

static void buffer_unmap(struct dma_buf_attachment *attachment, struct sg_table *table,
			 enum dma_data_direction dir)
{
	dma_unmap_sgtable(attachment->dev, table, dir, 0);
	sg_free_table(table);
	kfree(table);
}

static void buffer_free(struct buffer *buffer)
{
	int i;

	for (i = 0; i < PAGES; i++)
		if (buffer->pages[i])
			__free_page(buffer->pages[i]);
	kfree(buffer);
}

static void buffer_release(struct dma_buf *shared)
{
	buffer_free(shared->priv);
}

static const struct dma_buf_ops buffer_ops = {
	.map_dma_buf = buffer_map,
	.unmap_dma_buf = buffer_unmap,
	.release = buffer_release,
};

static struct dma_buf *buffer_export(void)
{
	DEFINE_DMA_BUF_EXPORT_INFO(info);
	struct buffer *buffer = kzalloc(sizeof(*buffer), GFP_KERNEL);
	struct dma_buf *shared = ERR_PTR(-ENOMEM);
	int i;

	if (!buffer)
		return shared;
	for (i = 0; i < PAGES; i++) {
		buffer->pages[i] = alloc_page(GFP_KERNEL);
		if (!buffer->pages[i])
			goto free;
	}
	info.ops = &buffer_ops;
	info.size = PAGES * PAGE_SIZE;
	info.priv = buffer;
	shared = dma_buf_export(&info);
	if (!IS_ERR(shared))
		return shared;
free:
	buffer_free(buffer);
	return shared;
}

/* The bug: the exporter gives a page back that an importer still has mapped. */
int case_dma_buf(struct device *dev, bool bug)
{
	struct dma_buf *shared = buffer_export();
	struct dma_buf_attachment *attachment;
	struct sg_table *table;
	struct buffer *buffer;
	int round, ret = 0;

	if (IS_ERR(shared))
		return PTR_ERR(shared);
	buffer = shared->priv;
	for (round = 0; !ret && round < 4; round++) {
		attachment = dma_buf_attach(shared, dev);
		if (IS_ERR(attachment)) {
			ret = PTR_ERR(attachment);
			break;
		}
		table = dma_buf_map_attachment_unlocked(attachment, DMA_BIDIRECTIONAL);
		if (IS_ERR(table)) {
			ret = PTR_ERR(table);
		} else {
			if (bug && round == 2) {
				__free_page(buffer->pages[1]);
				buffer->pages[1] = alloc_page(GFP_KERNEL);
			}
			dma_buf_unmap_attachment_unlocked(attachment, table, DMA_BIDIRECTIONAL);
		}
		dma_buf_detach(shared, attachment);
	}
	dma_buf_put(shared);
	return ret;
}
#else
int case_dma_buf(struct device *dev, bool bug)
{
	return -EOPNOTSUPP;
}
#endif
