#include "server/api/own.h"

#include <string.h>

gboolean
cm_call_is_own (CmCall *call, GError **error)
{
  if (strcmp (cm_call_param (call, "userId"), cm_call_user (call)) == 0)
    return TRUE;
  g_set_error_literal (error, CM_ERROR, CM_ERROR_FORBIDDEN, "This is another user's");
  return FALSE;
}
