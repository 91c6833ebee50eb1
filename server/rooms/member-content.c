#include "server/rooms/member-content.h"

#include "crypto/id.h"
#include "federation/append.h"
#include "server/accounts/profile.h"

#include <string.h>

CmJsonDoc *
cm_member_content_new (CmNode *node, const CmMemberContent *content, GError **error)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();

  cm_json_open_object (writer, NULL);
  cm_json_put_text (writer, "membership", content->membership);
  if (content->user_id != NULL && cm_id_domain_is (content->user_id, node->server_name) &&
      !cm_profile_put_member (node, writer, content->user_id, error))
    return NULL;
  cm_json_put_text (writer, "reason", content->reason);
  cm_json_put_text (writer, "join_authorised_via_users_server", content->authorised_by);
  if (content->is_direct)
    cm_json_put_boolean (writer, "is_direct", TRUE);
  cm_json_close (writer);
  return cm_json_writer_end_doc (writer);
}

gboolean
cm_member_append_own (CmNode *node, CmRoom *room, const char *user_id, const char *membership,
                      GError **error)
{
  const CmMemberContent content = {
    .membership = membership,
    .user_id = strcmp (membership, "join") == 0 ? user_id : NULL,
  };
  g_autoptr (CmJsonDoc) doc = cm_member_content_new (node, &content, error);

  if (doc == NULL)
    return FALSE;
  const CmDraft draft = { .type = "m.room.member",
                          .state_key = user_id,
                          .sender = user_id,
                          .content = cm_json_doc_root (doc) };
  g_autoptr (CmEvent) event = cm_room_append_one (room, &draft, error);
  return event != NULL;
}

CmJsonDoc *
cm_member_content_by_client (const CmJson *content, const char *authorised_by)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  const CmJson *value;
  const char *key;
  CmJsonIter iter;

  cm_json_open_object (writer, NULL);
  cm_json_iter_init (&iter, content);
  while (cm_json_iter_next (&iter, &key, &value))
    if (strcmp (key, "join_authorised_via_users_server") != 0)
      cm_json_put_member (writer, iter.key, value);
  cm_json_put_text (writer, "join_authorised_via_users_server", authorised_by);
  cm_json_close (writer);
  return cm_json_writer_end_doc (writer);
}
