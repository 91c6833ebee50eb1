#include "server/media/fetch.h"

#include "federation/fed-client.h"
#include "server/config/config.h"
#include "server/media/header-value.h"

#define TIMEOUT_MS 60000
/* What a multipart answer has beside the file. */
#define FRAME_BYTES (64 * 1024)

static gsize
max_bytes (const CmNode *node)
{
  return (gsize) node->config->media.max_upload + FRAME_BYTES;
}

/* A file that is the whole of an answer. */
static CmFilePart *
part_of (CmOutboundAnswer *answer)
{
  CmFilePart *part = g_new0 (CmFilePart, 1);

  part->content_type = g_steal_pointer (&answer->content_type);
  if (answer->content_disposition != NULL)
    part->file_name = cm_disposition_file_name (answer->content_disposition);
  part->content = g_steal_pointer (&answer->body);
  return part;
}

/* Follows the Location in a part to where the file is. It is any server's word: the guarded client
 * asks there, without a signature, and goes no further. */
static CmFilePart *
follow (const CmNode *node, const char *location, GError **error)
{
  const CmOutboundRequest request = {
    .method = "GET",
    .url = location,
    .max_bytes = max_bytes (node),
    .timeout_ms = TIMEOUT_MS,
  };

  if (!g_str_has_prefix (location, "https://")) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_BAD_GATEWAY, "The server's answer is malformed");
    return NULL;
  }
  g_autoptr (CmOutboundAnswer) answer = cm_outbound_call (node->outbound, &request, error);
  if (answer == NULL)
    return NULL;
  if (answer->status != 200) {
    g_set_error (error, CM_ERROR, CM_ERROR_BAD_GATEWAY, "The server answered with status %u",
                 answer->status);
    return NULL;
  }
  return part_of (answer);
}

static CmFilePart *
fetch (const CmNode *node, const char *server, const char *media_id, gint64 wait_ms, GError **error)
{
  g_autofree char *path = cm_fed_path ("/_matrix/federation/v1/media/download/%s", media_id);
  g_autofree char *target = g_strdup_printf ("%s?timeout_ms=%" G_GINT64_FORMAT, path, wait_ms);
  const CmFedRequest request = {
    .method = "GET",
    .target = target,
    .max_bytes = max_bytes (node),
    .timeout_ms = TIMEOUT_MS,
  };

  g_autoptr (CmOutboundAnswer) answer = cm_fed_call_raw (node->fed_client, server, &request, error);
  if (answer == NULL)
    return NULL;
  g_autoptr (CmFilePart) part = cm_multipart_parse (answer->content_type, answer->body, error);
  if (part == NULL || part->location == NULL)
    return g_steal_pointer (&part);
  return follow (node, part->location, error);
}

/* The deprecated way, which servers before Matrix 1.11 know alone. */
static CmFilePart *
fetch_openly (const CmNode *node, const char *server, const char *media_id, GError **error)
{
  g_autofree char *path = cm_fed_path ("/_matrix/media/v3/download/%s/%s", server, media_id);
  g_autofree char *target = g_strconcat (path, "?allow_remote=false", NULL);
  const CmFedRequest request = {
    .method = "GET",
    .target = target,
    .max_bytes = max_bytes (node),
    .timeout_ms = TIMEOUT_MS,
    .unsigned_request = TRUE,
  };

  g_autoptr (CmOutboundAnswer) answer = cm_fed_call_raw (node->fed_client, server, &request, error);
  return answer != NULL ? part_of (answer) : NULL;
}

CmFilePart *
cm_media_fetch (const CmNode *node, const char *server, const char *media_id, gint64 wait_ms,
                GError **error)
{
  g_autoptr (GError) failure = NULL;
  CmFilePart *part = fetch (node, server, media_id, wait_ms, &failure);

  if (g_error_matches (failure, CM_ERROR, CM_ERROR_UNRECOGNIZED)) {
    g_clear_error (&failure);
    part = fetch_openly (node, server, media_id, &failure);
  }
  if (part != NULL && g_bytes_get_size (part->content) > (gsize) node->config->media.max_upload) {
    g_clear_pointer (&part, cm_file_part_free);
    g_set_error_literal (&failure, CM_ERROR, CM_ERROR_TOO_LARGE, "The file is too large");
  }
  if (part == NULL)
    g_propagate_error (error, g_steal_pointer (&failure));
  return part;
}
