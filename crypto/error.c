#include "crypto/error.h"

typedef struct {
  const char *errcode;
  unsigned status;
} ErrorRow;

static const ErrorRow rows[CM_ERROR_LAST] = {
  [CM_ERROR_UNKNOWN] = { "M_UNKNOWN", 500 },
  [CM_ERROR_FORBIDDEN] = { "M_FORBIDDEN", 403 },
  [CM_ERROR_UNKNOWN_TOKEN] = { "M_UNKNOWN_TOKEN", 401 },
  [CM_ERROR_MISSING_TOKEN] = { "M_MISSING_TOKEN", 401 },
  [CM_ERROR_UNAUTHORIZED] = { "M_UNAUTHORIZED", 401 },
  [CM_ERROR_SOFT_LOGOUT] = { "M_UNKNOWN_TOKEN", 401 },
  [CM_ERROR_USER_LOCKED] = { "M_USER_LOCKED", 401 },
  [CM_ERROR_USER_SUSPENDED] = { "M_USER_SUSPENDED", 403 },
  [CM_ERROR_USER_DEACTIVATED] = { "M_USER_DEACTIVATED", 403 },
  [CM_ERROR_BAD_JSON] = { "M_BAD_JSON", 400 },
  [CM_ERROR_NOT_JSON] = { "M_NOT_JSON", 400 },
  [CM_ERROR_NOT_FOUND] = { "M_NOT_FOUND", 404 },
  [CM_ERROR_UNRECOGNIZED] = { "M_UNRECOGNIZED", 404 },
  [CM_ERROR_WRONG_METHOD] = { "M_UNRECOGNIZED", 405 },
  [CM_ERROR_LIMIT_EXCEEDED] = { "M_LIMIT_EXCEEDED", 429 },
  [CM_ERROR_USER_IN_USE] = { "M_USER_IN_USE", 400 },
  [CM_ERROR_INVALID_USERNAME] = { "M_INVALID_USERNAME", 400 },
  [CM_ERROR_EXCLUSIVE] = { "M_EXCLUSIVE", 400 },
  [CM_ERROR_ROOM_IN_USE] = { "M_ROOM_IN_USE", 400 },
  [CM_ERROR_INVALID_ROOM_STATE] = { "M_INVALID_ROOM_STATE", 400 },
  [CM_ERROR_UNSUPPORTED_ROOM_VERSION] = { "M_UNSUPPORTED_ROOM_VERSION", 400 },
  [CM_ERROR_INCOMPATIBLE_ROOM_VERSION] = { "M_INCOMPATIBLE_ROOM_VERSION", 400 },
  [CM_ERROR_BAD_STATE] = { "M_BAD_STATE", 400 },
  [CM_ERROR_GUEST_ACCESS_FORBIDDEN] = { "M_GUEST_ACCESS_FORBIDDEN", 403 },
  [CM_ERROR_INVITE_BLOCKED] = { "M_INVITE_BLOCKED", 403 },
  [CM_ERROR_MISSING_PARAM] = { "M_MISSING_PARAM", 400 },
  [CM_ERROR_INVALID_PARAM] = { "M_INVALID_PARAM", 400 },
  [CM_ERROR_INVALID_SIGNATURE] = { "M_INVALID_SIGNATURE", 400 },
  [CM_ERROR_BAD_ALIAS] = { "M_BAD_ALIAS", 400 },
  [CM_ERROR_DUPLICATE_ANNOTATION] = { "M_DUPLICATE_ANNOTATION", 400 },
  [CM_ERROR_TOO_LARGE] = { "M_TOO_LARGE", 413 },
  [CM_ERROR_RESOURCE_LIMIT_EXCEEDED] = { "M_RESOURCE_LIMIT_EXCEEDED", 403 },
  [CM_ERROR_CANNOT_LEAVE_SERVER_NOTICE_ROOM] = { "M_CANNOT_LEAVE_SERVER_NOTICE_ROOM", 403 },
  [CM_ERROR_WRONG_ROOM_KEYS_VERSION] = { "M_WRONG_ROOM_KEYS_VERSION", 403 },
  [CM_ERROR_UNABLE_TO_AUTHORISE_JOIN] = { "M_UNABLE_TO_AUTHORISE_JOIN", 400 },
  [CM_ERROR_UNABLE_TO_GRANT_JOIN] = { "M_UNABLE_TO_GRANT_JOIN", 400 },
  [CM_ERROR_NOT_YET_UPLOADED] = { "M_NOT_YET_UPLOADED", 504 },
  [CM_ERROR_CANNOT_OVERWRITE_MEDIA] = { "M_CANNOT_OVERWRITE_MEDIA", 409 },
  [CM_ERROR_UNKNOWN_POS] = { "M_UNKNOWN_POS", 400 },
  [CM_ERROR_WEAK_PASSWORD] = { "M_WEAK_PASSWORD", 400 },
  [CM_ERROR_THREEPID_NOT_FOUND] = { "M_THREEPID_NOT_FOUND", 400 },
  [CM_ERROR_THREEPID_IN_USE] = { "M_THREEPID_IN_USE", 400 },
  [CM_ERROR_PROFILE_TOO_LARGE] = { "M_PROFILE_TOO_LARGE", 400 },
  [CM_ERROR_KEY_TOO_LARGE] = { "M_KEY_TOO_LARGE", 400 },
  [CM_ERROR_BAD_GATEWAY] = { "M_UNKNOWN", 502 },
  [CM_ERROR_GATEWAY_TIMEOUT] = { "M_UNKNOWN", 504 },
  [CM_ERROR_UNAVAILABLE] = { "M_UNKNOWN", 503 },
  [CM_ERROR_DATABASE] = { "M_UNKNOWN", 500 },
  [CM_ERROR_CONFLICT] = { "M_UNKNOWN", 409 },
  [CM_ERROR_CONFIG] = { "M_UNKNOWN", 500 },
};

G_DEFINE_QUARK (cm - error - quark, cm_error)

/* A code from elsewhere (a GError of another domain passed by mistake) is our fault: M_UNKNOWN. */
static const ErrorRow *
row_of (CmError code)
{
  gboolean known = (unsigned) code < CM_ERROR_LAST && rows[code].errcode != NULL;
  return &rows[known ? code : CM_ERROR_UNKNOWN];
}

const char *
cm_error_errcode (CmError code)
{
  return row_of (code)->errcode;
}

unsigned
cm_error_status (CmError code)
{
  return row_of (code)->status;
}

gboolean
cm_fail (GError **error, CmError code, const char *format, ...)
{
  va_list arguments;

  va_start (arguments, format);
  g_propagate_error (error, g_error_new_valist (CM_ERROR, (gint) code, format, arguments));
  va_end (arguments);
  return FALSE;
}
