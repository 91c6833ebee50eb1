#include "server/api/federation/edus.h"

#include "server/e2ee/edu.h"

gboolean
cm_federation_receive_edu (CmNode *node, const char *origin, const CmJson *edu, GError **error)
{
  const char *type = cm_json_get_text (edu, "edu_type");

  return type == NULL ||
         cm_e2ee_receive_edu (node, origin, type, cm_json_get (edu, "content"), error);
}
