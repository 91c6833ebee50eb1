#include "server/api/federation/edus.h"

#include <string.h>

gboolean
cm_federation_receive_edu (CmNode *node, const char *origin, const CmJson *edu, GError **error)
{
  const char *type = cm_json_get_text (edu, "edu_type");

  g_debug ("EDU %s of %s is passed over", type != NULL ? type : "without type", origin);
  return TRUE;
}
