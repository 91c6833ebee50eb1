#include "tests/federation/fake-resolver.h"

struct _FakeResolver {
  GResolver parent;
  GMutex lock;
  GHashTable *names;    /* name -> strv of sets */
  GHashTable *turns;    /* name -> count */
  GHashTable *services; /* name -> GPtrArray of GSrvTarget */
};

G_DEFINE_TYPE (FakeResolver, fake_resolver, G_TYPE_RESOLVER)

static GList *
lookup_by_name (GResolver *resolver, const char *name, GCancellable *cancellable, GError **error)
{
  FakeResolver *self = FAKE_RESOLVER (resolver);
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->lock);
  GStrv sets = g_hash_table_lookup (self->names, name);
  guint turn = GPOINTER_TO_UINT (g_hash_table_lookup (self->turns, name));
  g_auto (GStrv) words = NULL;
  GList *list = NULL;

  if (sets == NULL) {
    g_set_error (error, G_RESOLVER_ERROR, G_RESOLVER_ERROR_NOT_FOUND, "no %s", name);
    return NULL;
  }
  words = g_strsplit (sets[turn % g_strv_length (sets)], " ", -1);
  g_hash_table_insert (self->turns, g_strdup (name), GUINT_TO_POINTER (turn + 1));
  for (gsize i = 0; words[i] != NULL; i++)
    list = g_list_append (list, g_inet_address_new_from_string (words[i]));
  return list;
}

static GList *
lookup_service (GResolver *resolver, const char *name, GCancellable *cancellable, GError **error)
{
  FakeResolver *self = FAKE_RESOLVER (resolver);
  GPtrArray *targets = g_hash_table_lookup (self->services, name);
  GList *list = NULL;

  for (guint i = 0; targets != NULL && i < targets->len; i++)
    list = g_list_append (list, g_srv_target_copy (targets->pdata[i]));
  if (list == NULL)
    g_set_error (error, G_RESOLVER_ERROR, G_RESOLVER_ERROR_NOT_FOUND, "no %s", name);
  return g_srv_target_list_sort (list);
}

static void
fake_resolver_finalize (GObject *object)
{
  FakeResolver *self = FAKE_RESOLVER (object);

  g_hash_table_unref (self->names);
  g_hash_table_unref (self->turns);
  g_hash_table_unref (self->services);
  g_mutex_clear (&self->lock);
  G_OBJECT_CLASS (fake_resolver_parent_class)->finalize (object);
}

static void
fake_resolver_class_init (FakeResolverClass *class)
{
  G_OBJECT_CLASS (class)->finalize = fake_resolver_finalize;
  G_RESOLVER_CLASS (class)->lookup_by_name = lookup_by_name;
  G_RESOLVER_CLASS (class)->lookup_service = lookup_service;
}

static void
fake_resolver_init (FakeResolver *self)
{
  g_mutex_init (&self->lock);
  self->names =
      g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) g_strfreev);
  self->turns = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  self->services =
      g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) g_ptr_array_unref);
}

FakeResolver *
fake_resolver_new (void)
{
  return g_object_new (FAKE_TYPE_RESOLVER, NULL);
}

void
fake_resolver_add (FakeResolver *resolver, const char *name, const char *addresses)
{
  g_hash_table_insert (resolver->names, g_strdup (name), g_strsplit (addresses, "|", -1));
}

void
fake_resolver_add_service (FakeResolver *resolver, const char *name, const char *target,
                           guint16 port, guint16 priority)
{
  GPtrArray *targets = g_hash_table_lookup (resolver->services, name);

  if (targets == NULL) {
    targets = g_ptr_array_new_with_free_func ((GDestroyNotify) g_srv_target_free);
    g_hash_table_insert (resolver->services, g_strdup (name), targets);
  }
  g_ptr_array_add (targets, g_srv_target_new (target, port, priority, 1));
}
