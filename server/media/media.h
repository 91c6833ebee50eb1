/* The content repository: uploaded files on disk, copies of other servers' files, thumbnails.
 * Files lie in folders by their hash (files.h); the database says which mxc:// URI is which. */
#pragma once

#include "schema/media.h"
#include "server/http/call.h"

G_BEGIN_DECLS

typedef struct _CmMediaStore CmMediaStore;

/* The store in [media] path, which it makes. */
CmMediaStore *cm_media_store_new (CmNode *node, GError **error);
/* Ends what is being made and fetched; whoever waits for it gets an answer. Nobody may ask any
 * more. */
void cm_media_store_free (CmMediaStore *store);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmMediaStore, cm_media_store_free)

/* A file as a client brings it. */
typedef struct {
  const char *uploader;
  const char *content_type; /* nullable; an odd one counts as application/octet-stream */
  const char *file_name;    /* nullable */
  GBytes *content;          /* NULL: none, an empty file */
  gboolean is_trusted;      /* no quota: an application service, which uploads for many */
} CmUpload;

/* (transfer full) its mxc:// URI, once it is on the disk. CM_ERROR_FORBIDDEN. */
char *cm_media_store_upload (CmMediaStore *store, const CmUpload *upload, GError **error);
/* (transfer full) the mxc:// URI of a file that @uploader will bring before @expires_ts.
 * CM_ERROR_LIMIT_EXCEEDED. */
char *cm_media_store_reserve (CmMediaStore *store, const char *uploader, gint64 *expires_ts,
                              GError **error);
/* Brings it. CM_ERROR_NOT_FOUND, CM_ERROR_FORBIDDEN for somebody else's,
 * CM_ERROR_CANNOT_OVERWRITE_MEDIA. */
gboolean cm_media_store_fulfil (CmMediaStore *store, const char *server, const char *media_id,
                                const CmUpload *upload, GError **error);

/* What is to be served; borrows its texts. */
typedef struct {
  const char *server;
  const char *media_id;
  const char *file_name; /* instead of the uploader's; nullable */
  gint64 wait_ms;        /* for a file that is reserved and not uploaded yet */
  gboolean is_thumbnail;
  CmThumbnailKey size; /* without the hash */
  gboolean to_server;  /* as servers send it to each other */
} CmMediaAsk;

/* Answers @call with the file, at once or later: another server's file may have to be fetched, a
 * thumbnail to be made. */
CmReply *
cm_media_store_serve (CmMediaStore *store, CmCall *call, const CmMediaAsk *ask, GError **error);

G_END_DECLS
