/* What the database knows of uploaded files: which mxc:// URI is which file of which type. The
 * files themselves lie in a folder (server/media/files.h), named by their hash. */
#pragma once

#include "schema/db.h"

G_BEGIN_DECLS

typedef struct {
  char *server;
  char *media_id;
  char *content_type; /* as declared by whoever uploaded it, unchecked; nullable */
  char *file_name;    /* likewise */
  gint64 length;
  char *sha256;   /* lower-case hex; NULL: an id that is reserved and has no content yet */
  char *uploader; /* a local user; NULL: a copy of another server's file */
  gint64 expires_ts;
  gint64 last_used_ts;
  gboolean quarantined;
} CmMedia;

void cm_media_free (CmMedia *media);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmMedia, cm_media_free)

/* (transfer full) CM_ERROR_NOT_FOUND. */
CmMedia *cm_media_find (CmDb *db, const char *server, const char *media_id, GError **error);
/* A file with its content. TRUE, too, when the id is there already: the first content stays. */
gboolean cm_media_insert (CmDb *db, const CmMedia *media, gint64 now_ms, GError **error);
/* Sets last_used_ts, by which copies of other servers' files are kept. */
gboolean cm_media_touch (CmDb *db, const CmMedia *media, gint64 now_ms, GError **error);

/* Reserves @media_id for @uploader until @expires_ts. CM_ERROR_LIMIT_EXCEEDED when @max_reserved of
 * the uploader's ids wait for their content; expired ones are forgotten. */
gboolean cm_media_reserve (CmDb *db, const char *server, const char *media_id, const char *uploader,
                           gint64 now_ms, gint64 expires_ts, gint64 max_reserved, GError **error);
/* Gives the id that @media->uploader reserved its content. FALSE with CM_ERROR_NOT_FOUND when it is
 * no id that can get one any more. */
gboolean cm_media_fulfil (CmDb *db, const CmMedia *media, gint64 now_ms, GError **error);

/* Bytes that @uploader's files take, each with something for its row, so that many empty ones are
 * not free either. */
gboolean cm_media_uploaded_size (CmDb *db, const char *uploader, gint64 *bytes, GError **error);
/* Whether any id still has the file @sha256. */
gboolean cm_media_is_used (CmDb *db, const char *sha256, gboolean *used, GError **error);
gboolean cm_media_delete (CmDb *db, const char *server, const char *media_id, GError **error);
/* Bytes of all copies of other servers' files. */
gboolean cm_media_remote_size (CmDb *db, gint64 *bytes, GError **error);
/* Rows of (server, media_id, length, sha256): the copies longest unused. */
CmRows *cm_media_oldest_remote (CmDb *db, gint64 limit, GError **error);

typedef struct {
  const char *sha256; /* of the original */
  gint64 width;
  gint64 height;
  const char *method;
  gboolean animated;
} CmThumbnailKey;

typedef enum {
  CM_THUMBNAIL_ABSENT, /* nobody has asked yet */
  CM_THUMBNAIL_MADE,
  CM_THUMBNAIL_IMPOSSIBLE,
  CM_THUMBNAIL_TOO_LARGE, /* the original */
} CmThumbnailState;

/* @content_type (transfer full) is set for CM_THUMBNAIL_MADE. */
gboolean cm_media_find_thumbnail (CmDb *db, const CmThumbnailKey *key, CmThumbnailState *state,
                                  char **content_type, GError **error);
/* What became of an attempt. */
typedef struct {
  CmThumbnailState state;
  const char *content_type; /* for CM_THUMBNAIL_MADE, as the rest */
  gint64 length;
  gint64 made_ts;
} CmThumbnailMade;

gboolean cm_media_put_thumbnail (CmDb *db, const CmThumbnailKey *key, const CmThumbnailMade *made,
                                 GError **error);
/* Forgets all thumbnails of the original @sha256. */
gboolean cm_media_delete_thumbnails (CmDb *db, const char *sha256, GError **error);
gboolean cm_media_delete_thumbnail (CmDb *db, const CmThumbnailKey *key, GError **error);
/* Bytes of all thumbnails. */
gboolean cm_media_thumbnails_size (CmDb *db, gint64 *bytes, GError **error);
/* Rows of (sha256, width, height, method, animated, length): the files made first. */
CmRows *cm_media_oldest_thumbnails (CmDb *db, gint64 limit, GError **error);

G_END_DECLS
