/* In whose name this node acts in a room: it has no name of its own there. */
#include "federation/auth-rules.h"
#include "federation/room-private.h"

#include "crypto/id.h"
#include "schema/membership.h"

typedef struct {
  const CmRoomView *view;
  const CmEvent *power, *create; /* nullable */
  gint64 level;
} Search;

static gboolean
fits (const Search *search, const char *user_id)
{
  return cm_id_domain_is (user_id, search->view->rooms->parts.server_name) &&
         cm_room_membership (search->view, user_id) == CM_MEMBERSHIP_JOIN &&
         cm_power_of_user (search->power, search->create, user_id) >= search->level;
}

/* (borrowed) of those with a power of their own, who are few. */
static const char *
find_powerful (const Search *search)
{
  const CmJson *users =
      search->power != NULL ? cm_json_get_object (search->power->content, "users") : NULL;
  const CmJson *more = search->create != NULL
                           ? cm_json_get_array (search->create->content, "additional_creators")
                           : NULL;
  const CmJson *item;
  const char *user_id;
  CmJsonIter iter;

  if (search->create != NULL && fits (search, search->create->sender))
    return search->create->sender;
  cm_json_iter_init (&iter, users);
  while (cm_json_iter_next (&iter, &user_id, NULL))
    if (fits (search, user_id))
      return user_id;
  cm_json_iter_init (&iter, more);
  while (cm_json_iter_next (&iter, NULL, &item))
    if (cm_json_text (item) != NULL && fits (search, cm_json_text (item)))
      return cm_json_text (item);
  return NULL;
}

/* Where everybody has the power, anybody will do. */
static char *
find_anybody (const Search *search, GError **error)
{
  g_autoptr (CmDb) db = cm_pool_get (search->view->rooms->parts.pool, error);
  g_autofree char *anybody =
      db != NULL ? cm_membership_any_local (db, search->view->room, error) : NULL;

  return anybody != NULL && fits (search, anybody) ? g_steal_pointer (&anybody) : NULL;
}

char *
cm_room_find_deputy (const CmRoomView *view, gint64 level, GError **error)
{
  g_autoptr (GError) failure = NULL;
  g_autoptr (CmEvent) power = cm_room_state_event (view, "m.room.power_levels", "", &failure);
  g_autoptr (CmEvent) create =
      failure == NULL ? cm_room_state_event (view, "m.room.create", "", &failure) : NULL;
  const Search search = { view, power, create, level };

  if (failure != NULL) {
    g_propagate_error (error, g_steal_pointer (&failure));
    return NULL;
  }
  const char *powerful = find_powerful (&search);
  if (powerful != NULL)
    return g_strdup (powerful);
  return cm_power_level (power, "users_default") >= level ? find_anybody (&search, error) : NULL;
}
