#include "server/api/media-params.h"

#include "crypto/id.h"
#include "server/media/thumbnail.h"

#include <string.h>

#define DEFAULT_WAIT_MS 20000
#define MAX_WAIT_MS     60000
/* Pixels; no screen is as large. */
#define MAX_SIDE 32767

gboolean
cm_media_param_id (const CmCall *call, const char **media_id, GError **error)
{
  const char *id = cm_call_param (call, "mediaId");

  /* client-server, "Security considerations" of the content repository. */
  for (const char *c = id; *c != '\0'; c++)
    if (!g_ascii_isalnum (*c) && *c != '_' && *c != '-') {
      g_set_error_literal (error, CM_ERROR, CM_ERROR_INVALID_PARAM, "Invalid media ID");
      return FALSE;
    }
  if (*id == '\0' || strlen (id) > CM_ID_MAX_BYTES) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_INVALID_PARAM, "Invalid media ID");
    return FALSE;
  }
  *media_id = id;
  return TRUE;
}

gboolean
cm_media_param_uri (const CmCall *call, const char **server, const char **media_id, GError **error)
{
  *server = cm_call_param (call, "serverName");
  if (cm_id_is_server_name (*server))
    return cm_media_param_id (call, media_id, error);
  g_set_error_literal (error, CM_ERROR, CM_ERROR_INVALID_PARAM, "Invalid server name");
  return FALSE;
}

gboolean
cm_media_param_wait (const CmCall *call, gint64 *wait_ms, GError **error)
{
  return cm_call_query_integer (call, "timeout_ms", DEFAULT_WAIT_MS, 0, MAX_WAIT_MS, wait_ms,
                                error);
}

static gboolean
need_length (const CmCall *call, const char *name, gint64 *value, GError **error)
{
  if (cm_call_query (call, name) == NULL) {
    g_set_error (error, CM_ERROR, CM_ERROR_MISSING_PARAM, "%s is missing", name);
    return FALSE;
  }
  if (!cm_call_query_integer (call, name, 0, 1, MAX_SIDE + 1, value, error))
    return FALSE;
  if (*value <= MAX_SIDE)
    return TRUE;
  g_set_error (error, CM_ERROR, CM_ERROR_INVALID_PARAM, "%s is too large", name);
  return FALSE;
}

gboolean
cm_media_param_size (const CmCall *call, CmThumbnailKey *size, GError **error)
{
  const char *animated = cm_call_query (call, "animated");
  gint64 width, height;

  if (!need_length (call, "width", &width, error) || !need_length (call, "height", &height, error))
    return FALSE;
  if (animated != NULL && strcmp (animated, "true") != 0 && strcmp (animated, "false") != 0) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_INVALID_PARAM, "animated is true or false");
    return FALSE;
  }
  return cm_thumbnail_choose (width, height, cm_call_query (call, "method"),
                              g_strcmp0 (animated, "true") == 0, size, error);
}
