/* What the files of this folder share. */
#pragma once

#include "server/media/files.h"
#include "server/router/flights.h"
#include "server/media/media.h"
#include "server/media/multipart.h"
#include "server/media/room.h"
#include "server/media/thumbnail.h"
#include "server/media/waits.h"
#include "server/node.h"

G_BEGIN_DECLS

struct _CmMediaStore {
  CmNode *node;
  CmMediaFiles *files;
  CmFlights *fetches;    /* from other servers; of Serving, as the rest */
  CmFlights *thumbnails; /* in the making */
  CmWaits *waits;        /* for uploads */
  CmThumbnailers *thumbnailers;
  CmMediaRoom *copies_room;
  CmMediaRoom *thumbnails_room;
};

/* Keeps what was fetched as @server's @media_id. */
gboolean cm_media_store_keep (CmMediaStore *store, const char *server, const char *media_id,
                              CmFilePart *part, GError **error);
/* Keeps @file (taken) as the thumbnail @key, or that there is none. */
gboolean
cm_media_store_keep_thumbnail (CmMediaStore *store, CmNewFile *file, const CmThumbnailKey *key,
                               const CmThumbnailMade *made, GError **error);

/* serve.c: a Serving is one call on its way to its answer. */
gboolean cm_media_serving_fetch (gpointer serving, GError **error);
gboolean cm_media_serving_make (gpointer serving, GError **error);
void cm_media_serving_resume (gpointer serving, const GError *error);
void cm_media_serving_come (gpointer serving, gboolean late);

G_END_DECLS
