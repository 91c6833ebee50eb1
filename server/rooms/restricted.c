#include "server/rooms/restricted.h"

#include "crypto/id.h"
#include "federation/auth-rules.h"

typedef struct {
  CmNode *node;
  const char *user_id; /* or */
  const char *server;
  gboolean cannot_tell;
} Candidate;

/* The state of a room without members of this server stands still: who is in there now, others
 * know. */
static gboolean
is_member_of (Candidate *candidate, const char *room_id)
{
  g_autoptr (CmRoomView) view = cm_rooms_view (candidate->node->rooms, room_id, NULL);

  if (view == NULL || view->local_joined == 0) {
    candidate->cannot_tell = TRUE;
    return FALSE;
  }
  if (candidate->server != NULL)
    return g_hash_table_contains (view->servers, candidate->server);
  return cm_room_membership (view, candidate->user_id) == CM_MEMBERSHIP_JOIN;
}

static gboolean
is_allowed (Candidate *candidate, const CmRoomView *view)
{
  g_autoptr (CmEvent) rules = cm_room_state_event (view, "m.room.join_rules", "", NULL);
  const char *rule = rules != NULL ? cm_json_get_text (rules->content, "join_rule") : NULL;
  const CmJson *condition;
  CmJsonIter iter;

  if (g_strcmp0 (rule, "restricted") != 0 && g_strcmp0 (rule, "knock_restricted") != 0)
    return FALSE;
  cm_json_iter_init (&iter, cm_json_get_array (rules->content, "allow"));
  while (cm_json_iter_next (&iter, NULL, &condition)) {
    const char *room_id = cm_json_get_text (condition, "room_id");
    if (g_strcmp0 (cm_json_get_text (condition, "type"), "m.room_membership") == 0 &&
        cm_id_is_room (room_id) && is_member_of (candidate, room_id))
      return TRUE;
  }
  return FALSE;
}

gboolean
cm_restricted_is_allowed (CmNode *node, const CmRoomView *view, const char *user_id,
                          const char *server)
{
  Candidate candidate = { .node = node, .user_id = user_id, .server = server };

  return is_allowed (&candidate, view);
}

/* A user of this server cannot be in a room that this server is not in. */
static gboolean
check_allowed (CmNode *node, const CmRoomView *view, const char *user_id, GError **error)
{
  Candidate candidate = { .node = node, .user_id = user_id };

  if (is_allowed (&candidate, view))
    return TRUE;
  if (candidate.cannot_tell && !cm_id_domain_is (user_id, node->server_name))
    return cm_fail (error, CM_ERROR_UNABLE_TO_AUTHORISE_JOIN,
                    "This server is not in the rooms whose members may join");
  return cm_fail (error, CM_ERROR_FORBIDDEN, "You are in none of the rooms whose members may join");
}

gboolean
cm_restricted_check (CmNode *node, const CmRoomView *view, const char *user_id,
                     CmRestricted *result, char **authority, GError **error)
{
  g_autoptr (CmEvent) rules = cm_room_state_event (view, "m.room.join_rules", "", NULL);
  const char *rule = rules != NULL ? cm_json_get_text (rules->content, "join_rule") : NULL;
  CmMembership membership = cm_room_membership (view, user_id);
  g_autoptr (GError) failure = NULL;

  *result = CM_RESTRICTED_NO;
  *authority = NULL;
  if ((g_strcmp0 (rule, "restricted") != 0 && g_strcmp0 (rule, "knock_restricted") != 0) ||
      membership == CM_MEMBERSHIP_INVITE || membership == CM_MEMBERSHIP_JOIN)
    return TRUE;
  if (!check_allowed (node, view, user_id, error))
    return FALSE;
  g_autoptr (CmEvent) power = cm_room_state_event (view, "m.room.power_levels", "", NULL);
  *authority = cm_room_find_deputy (view, cm_power_level (power, "invite"), &failure);
  if (failure != NULL) {
    g_propagate_error (error, g_steal_pointer (&failure));
    return FALSE;
  }
  *result = *authority != NULL ? CM_RESTRICTED_GRANTED : CM_RESTRICTED_ELSEWHERE;
  return TRUE;
}
