/* The content repository: uploaded files on disk, copies of other servers' files, thumbnails.
 * Files lie in folders by their hash; the database says which mxc:// URI is which. */
#pragma once

#include "schema/media.h"
#include "server/http/call.h"

G_BEGIN_DECLS

typedef struct _CmMediaStore CmMediaStore;

/* The store in [media] path, which it makes. */
CmMediaStore *cm_media_store_new (CmNode *node, GError **error);
/* Waits for what is being made for callers, who all get their answers. */
void cm_media_store_free (CmMediaStore *store);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmMediaStore, cm_media_store_free)

G_END_DECLS
