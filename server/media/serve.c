/* How a file gets to whoever asks for it. */
#include "server/media/media-private.h"

#include "server/config/config.h"
#include "server/media/fetch.h"
#include "server/media/header-value.h"
#include "server/router/limits.h"

#include <string.h>
#include <unistd.h>

/* last_used_ts is written this often at most. */
#define TOUCH_MS G_GINT64_CONSTANT (3600000)

#define MEGABYTE (1024 * 1024)

#define OCTETS "application/octet-stream"

/* client-server, "Content repository"; content of strangers must not act in anybody's name. */
static const char *const safety_headers[][2] = {
  { "Content-Security-Policy", "sandbox; default-src 'none'; script-src 'none'; plugin-types "
                               "application/pdf; style-src 'unsafe-inline'; object-src 'self';" },
  { "X-Content-Type-Options", "nosniff" },
  { "Cross-Origin-Resource-Policy", "cross-origin" },
  { "Cache-Control", "private, max-age=86400, immutable" },
};

/* A call on its way to its answer, which it may have to wait for several times. */
typedef struct {
  CmMediaStore *store;
  CmCall *call;
  CmMediaAsk ask; /* its texts are copies */
  gint64 deadline_us;
  char *sha256; /* of the original whose thumbnail is to be made */
  gboolean fetched, made;
} Serving;

/* What the database says. */
typedef struct {
  CmMedia *media;
  CmThumbnailState state;
  char *thumbnail_type;
} Found;

static void
found_clear (Found *found)
{
  g_clear_pointer (&found->media, cm_media_free);
  g_free (found->thumbnail_type);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Found, found_clear)

static void
serving_free (Serving *serving)
{
  cm_call_unref (serving->call);
  g_free ((char *) serving->ask.server);
  g_free ((char *) serving->ask.media_id);
  g_free ((char *) serving->ask.file_name);
  g_free (serving->sha256);
  g_free (serving);
}

static Serving *
serving_new (CmMediaStore *store, CmCall *call, const CmMediaAsk *ask)
{
  Serving *serving = g_new0 (Serving, 1);

  serving->store = store;
  serving->call = cm_call_ref (call);
  serving->ask = *ask;
  serving->ask.server = g_strdup (ask->server);
  serving->ask.media_id = g_strdup (ask->media_id);
  serving->ask.file_name = g_strdup (ask->file_name);
  serving->deadline_us = g_get_monotonic_time () + ask->wait_ms * 1000;
  return serving;
}

static gboolean
is_remote (const Serving *serving)
{
  return strcmp (serving->ask.server, serving->store->node->server_name) != 0;
}

static gboolean
fail (GError **error, CmError code, const char *message)
{
  g_set_error_literal (error, CM_ERROR, code, message);
  return FALSE;
}

/* What is not said by any error: statuses that depend on where the file is from. */
static CmReply *
reply_failure (const Serving *serving, const GError *error)
{
  if (g_error_matches (error, CM_ERROR, CM_ERROR_TOO_LARGE) && is_remote (serving))
    return cm_reply_error_status (502, cm_error_errcode (CM_ERROR_TOO_LARGE), error->message);
  if (g_error_matches (error, CM_ERROR, CM_ERROR_UNRECOGNIZED))
    return cm_reply_error_status (404, cm_error_errcode (CM_ERROR_NOT_FOUND),
                                  "There is no such media");
  return cm_reply_error (error);
}

/* Answers with @fd (taken), as a file or as servers send files to each other. */
static CmReply *
reply_file (const Serving *serving, int fd, guint64 length, const char *content_type,
            const char *disposition)
{
  g_autofree char *type = NULL;
  GBytes *before, *after;

  if (serving->ask.to_server) {
    cm_multipart_wrap (content_type, disposition, &before, &after, &type);
    CmReply *reply = cm_reply_file (type, fd, length);
    cm_reply_frame (reply, before, after);
    return reply;
  }
  CmReply *reply = cm_reply_file (content_type, fd, length);
  cm_reply_add_header (reply, "Content-Disposition", disposition);
  for (gsize i = 0; i < G_N_ELEMENTS (safety_headers); i++)
    cm_reply_add_header (reply, safety_headers[i][0], safety_headers[i][1]);
  return reply;
}

static CmReply *
reply_content (const Serving *serving, const CmMedia *media, GError **error)
{
  const char *name = serving->ask.file_name != NULL ? serving->ask.file_name : media->file_name;
  const char *type = media->content_type != NULL ? media->content_type : OCTETS;
  guint64 length;
  int fd = cm_media_files_open (serving->store->files, media->sha256, &length, error);

  if (fd < 0)
    return NULL;
  g_autofree char *disposition = cm_disposition_new (cm_content_type_is_inline (type), name);
  return reply_file (serving, fd, length, type, disposition);
}

/* Boards a flight, which may end at any moment: @serving is not to be touched any more. */
static CmReply *
board (CmFlights *flights, const char *key, const char *server, Serving *serving, GError **error)
{
  const CmRequester *requester = cm_call_requester (serving->call);
  g_autofree char *asker =
      g_strdup (requester->user_id != NULL ? requester->user_id : requester->origin);

  if (cm_flights_board (flights, key, asker, server, serving))
    return CM_REPLY_LATER;
  fail (error, CM_ERROR_UNAVAILABLE, "The server is too busy");
  return NULL;
}

/* Application services are trusted with their own pace. */
static gboolean
is_metered (const Serving *serving)
{
  return cm_call_requester (serving->call)->appservice == NULL;
}

static CmReply *
fetch_first (Serving *serving, GError **error)
{
  g_autofree char *server = g_strdup (serving->ask.server);
  g_autofree char *key = g_strdup_printf ("%s/%s", server, serving->ask.media_id);
  gint64 wait_ms = is_metered (serving)
                       ? cm_limits_look (serving->store->node->limits, CM_LIMIT_REMOTE_MEDIA,
                                         cm_call_user (serving->call))
                       : 0;

  if (wait_ms > 0)
    return cm_reply_limited (wait_ms);
  serving->fetched = TRUE;
  return board (serving->store->fetches, key, server, serving, error);
}

static CmReply *
make_first (Serving *serving, const char *sha256, GError **error)
{
  g_autofree char *kind = cm_thumbnail_kind (&serving->ask.size);
  g_autofree char *key = g_strdup_printf ("%s-%s", sha256, kind);

  serving->made = TRUE;
  serving->sha256 = g_strdup (sha256);
  return board (serving->store->thumbnails, key, NULL, serving, error);
}

static CmReply *
reply_thumbnail (Serving *serving, const Found *found, GError **error)
{
  static const char *const too_large = "Content is too large to thumbnail";
  g_autofree char *kind = cm_thumbnail_kind (&serving->ask.size);
  g_autoptr (GError) missing = NULL;
  guint64 length;

  if (found->state == CM_THUMBNAIL_TOO_LARGE)
    return cm_reply_error_status (is_remote (serving) ? 502 : 413,
                                  cm_error_errcode (CM_ERROR_TOO_LARGE), too_large);
  if (found->state == CM_THUMBNAIL_IMPOSSIBLE)
    return cm_reply_error_status (400, cm_error_errcode (CM_ERROR_UNKNOWN),
                                  "Cannot generate thumbnails for the requested content");
  int fd = found->state == CM_THUMBNAIL_MADE
               ? cm_media_files_open_thumbnail (serving->store->files, found->media->sha256, kind,
                                                &length, &missing)
               : -1;
  if (fd < 0 && !serving->made)
    return make_first (serving, found->media->sha256, error);
  if (fd < 0) {
    fail (error, CM_ERROR_NOT_FOUND, "There is no such media");
    return NULL;
  }
  const char *extension = strchr (found->thumbnail_type, '/') + 1;
  g_autofree char *name = g_strdup_printf ("thumbnail.%s", extension);
  g_autofree char *disposition = cm_disposition_new (TRUE, name);
  return reply_file (serving, fd, length, found->thumbnail_type, disposition);
}

/* Asks the database all that is to be known, and lets go of it. */
static gboolean
look (const Serving *serving, Found *found, GError **error)
{
  g_autoptr (CmDb) db = cm_pool_get (serving->store->node->pool, error);
  gint64 now_ms = g_get_real_time () / 1000;
  CmThumbnailKey key = serving->ask.size;

  if (db == NULL)
    return FALSE;
  found->media = cm_media_find (db, serving->ask.server, serving->ask.media_id, error);
  if (found->media == NULL)
    return FALSE;
  if (found->media->quarantined)
    return fail (error, CM_ERROR_NOT_FOUND, "There is no such media");
  key.sha256 = found->media->sha256;
  if (key.sha256 == NULL)
    return TRUE;
  if (now_ms - found->media->last_used_ts > TOUCH_MS &&
      !cm_media_touch (db, found->media, now_ms, error))
    return FALSE;
  return !serving->ask.is_thumbnail ||
         cm_media_find_thumbnail (db, &key, &found->state, &found->thumbnail_type, error);
}

/* Waits for a file whose id was given out in advance. */
static CmReply *
wait_first (Serving *serving, const CmMedia *media, GError **error)
{
  CmMediaStore *store = serving->store;
  g_auto (Found) found = { 0 };

  if (media->expires_ts <= g_get_real_time () / 1000) {
    fail (error, CM_ERROR_NOT_FOUND, "There is no such media");
    return NULL;
  }
  /* A copy to look with once more: whoever waits may be answered at any moment. */
  const Serving again = { .store = store,
                          .ask = { .server = media->server, .media_id = media->media_id } };
  if (serving->deadline_us <= g_get_monotonic_time () ||
      !cm_waits_add (store->waits, media->media_id, serving->deadline_us, serving)) {
    fail (error, CM_ERROR_NOT_YET_UPLOADED, "Content has not yet been uploaded");
    return NULL;
  }
  if (look (&again, &found, NULL) && found.media->sha256 != NULL)
    cm_waits_come (store->waits, media->media_id);
  return CM_REPLY_LATER;
}

/* One step further: the answer, or CM_REPLY_LATER after @serving was handed on. */
static CmReply *
proceed (Serving *serving, GError **error)
{
  const CmNode *node = serving->store->node;
  g_auto (Found) found = { 0 };
  g_autoptr (GError) failure = NULL;

  if (!look (serving, &found, &failure)) {
    if (g_error_matches (failure, CM_ERROR, CM_ERROR_NOT_FOUND) && found.media == NULL &&
        is_remote (serving) && !serving->fetched && node->config->federation.enabled)
      return fetch_first (serving, error);
    g_propagate_error (error, g_steal_pointer (&failure));
    return NULL;
  }
  if (found.media->sha256 == NULL)
    return wait_first (serving, found.media, error);
  if (serving->ask.is_thumbnail)
    return reply_thumbnail (serving, &found, error);
  return reply_content (serving, found.media, error);
}

CmReply *
cm_media_store_serve (CmMediaStore *store, CmCall *call, const CmMediaAsk *ask, GError **error)
{
  Serving *serving = serving_new (store, call, ask);
  CmReply *reply = proceed (serving, error);

  if (reply != CM_REPLY_LATER)
    serving_free (serving);
  return reply;
}

static void
answer (Serving *serving, CmReply *reply)
{
  cm_call_reply (serving->call, reply);
  serving_free (serving);
}

void
cm_media_serving_resume (gpointer data, const GError *error)
{
  Serving *serving = data;
  g_autoptr (GError) failure = error != NULL ? g_error_copy (error) : NULL;
  CmReply *reply = failure == NULL ? proceed (serving, &failure) : NULL;

  if (reply == NULL)
    reply = reply_failure (serving, failure);
  if (reply != CM_REPLY_LATER)
    answer (serving, reply);
}

void
cm_media_serving_come (gpointer data, gboolean late)
{
  g_autoptr (GError) error = NULL;

  if (late)
    fail (&error, CM_ERROR_NOT_YET_UPLOADED, "Content has not yet been uploaded");
  cm_media_serving_resume (data, error);
}

gboolean
cm_media_serving_fetch (gpointer data, GError **error)
{
  const Serving *serving = data;
  CmMediaStore *store = serving->store;
  g_autoptr (CmFilePart) part = cm_media_fetch (store->node, serving->ask.server,
                                                serving->ask.media_id, serving->ask.wait_ms, error);
  gsize length = part != NULL ? g_bytes_get_size (part->content) : 0;

  if (is_metered (serving))
    cm_limits_charge (store->node->limits, CM_LIMIT_REMOTE_MEDIA, cm_call_user (serving->call),
                      1 + (guint) (length / MEGABYTE));
  return part != NULL &&
         cm_media_store_keep (store, serving->ask.server, serving->ask.media_id, part, error);
}

gboolean
cm_media_serving_make (gpointer data, GError **error)
{
  const Serving *serving = data;
  CmMediaStore *store = serving->store;
  CmThumbnailKey key = serving->ask.size;
  CmThumbnailMade made = { .made_ts = g_get_real_time () / 1000 };

  key.sha256 = serving->sha256;
  CmNewFile *file = cm_thumbnail_make (store->thumbnailers, store->files, &key, &made, error);
  return file != NULL && cm_media_store_keep_thumbnail (store, file, &key, &made, error);
}
