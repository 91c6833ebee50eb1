#include "server/api/body.h"

static gboolean
is_absent (const CmJson *node)
{
  return cm_json_type (node) == CM_JSON_ABSENT || cm_json_type (node) == CM_JSON_NULL;
}

static gboolean
fail (GError **error, CmError code, const char *key, const char *what)
{
  g_set_error (error, CM_ERROR, code, "%s %s", key, what);
  return FALSE;
}

gboolean
cm_body_text (const CmJson *body, const char *key, gsize max, const char **text, GError **error)
{
  const CmJson *node = cm_json_get (body, key);
  *text = NULL;
  if (is_absent (node))
    return TRUE;
  if (cm_json_type (node) != CM_JSON_STRING)
    return fail (error, CM_ERROR_BAD_JSON, key, "must be a text");
  if (cm_json_length (node) > max)
    return fail (error, CM_ERROR_INVALID_PARAM, key, "is too long");
  *text = cm_json_text (node);
  return *text || fail (error, CM_ERROR_INVALID_PARAM, key, "must not hold U+0000");
}

gboolean
cm_body_need_text (const CmJson *body, const char *key, gsize max, const char **text,
                   GError **error)
{
  return cm_body_text (body, key, max, text, error) &&
         (*text || fail (error, CM_ERROR_MISSING_PARAM, key, "is missing"));
}

gboolean
cm_body_boolean (const CmJson *body, const char *key, gboolean fallback, gboolean *value,
                 GError **error)
{
  const CmJson *node = cm_json_get (body, key);
  CmJsonType type = cm_json_type (node);
  *value = fallback;
  if (is_absent (node))
    return TRUE;
  if (type != CM_JSON_TRUE && type != CM_JSON_FALSE)
    return fail (error, CM_ERROR_BAD_JSON, key, "must be true or false");
  *value = type == CM_JSON_TRUE;
  return TRUE;
}
