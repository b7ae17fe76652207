-- What the permission log watches. The last of the tables are there by now, and so are the rows
-- that docperm brings itself, which nobody changed.

DO $$
DECLARE
    -- What a user tells of himself, how he wants his desk, when he was here. A column that is not
    -- named here is logged.
    personal CONSTANT text := '{full_name,first_name,middle_name,last_name,gender,phone,birth_date,location,interest,bio,
                                user_image,banner_image,language,time_zone,desk_theme,mute_sounds,search_bar,notifications,
                                list_sidebar,bulk_actions,view_switcher,form_sidebar,timeline,dashboard,default_workspace,
                                default_app,redirect_url,send_welcome_email,thread_notify,send_me_a_copy,allowed_in_mentions,
                                unsubscribed,email_signature,document_follow_notify,document_follow_frequency,
                                follow_created_documents,follow_commented_documents,follow_liked_documents,
                                follow_shared_documents,follow_assigned_documents,creation,last_login,last_ip,last_active}';
    w record;
BEGIN
    FOR w IN
        SELECT *
          FROM (VALUES
              -- table                    object type             object's name     columns that tell its rows apart              user's name  not logged                  by row
              ('users',                 'User',                 'name',           '{name}',                                     'name',      personal,                   true),
              ('user_roles',            'Has Role',             'user_name',      '{user_name,role}',                           'user_name', '{}',                       false),
              ('user_role_profiles',    'User Role Profile',    'user_name',      '{user_name,role_profile}',                   'user_name', '{}',                       false),
              ('user_blocked_modules',  'Block Module',         'user_name',      '{user_name,module}',                         'user_name', '{}',                       false),
              ('user_permissions',      'User Permission',      'user_name',      '{user_name,allow,for_value,applicable_for}', 'user_name', '{}',                       false),
              ('shares',                'Share',                'document',       '{doctype,document,user_name,everyone}',      'user_name', '{}',                       false),
              ('user_identities',       'User Social Login',    'user_name',      '{provider,user_name}',                       'user_name', '{created_at}',             false),
              ('api_keys',              'API Key',              'user_name',      '{api_key,user_name}',                        'user_name', '{secret_hash,created_at}', false),
              ('roles',                 'Role',                 'name',           '{name}',                                     NULL,        '{}',                       false),
              ('rights',                'Permission Type',      'name',           '{name}',                                     NULL,        '{}',                       false),
              ('role_permissions',      'Role Permission',      'doctype',        '{doctype,role,permlevel,if_owner,custom}',   NULL,        '{shipped}',                false),
              ('role_profiles',         'Role Profile',         'name',           '{name}',                                     NULL,        '{}',                       false),
              ('role_profile_roles',    'Role Profile Role',    'role_profile',   '{role_profile,role}',                        NULL,        '{}',                       false),
              ('separation_of_duties',  'Separation of Duties', 'role_a',         '{role_a,role_b}',                            NULL,        '{}',                       false),
              ('modules',               'Module Def',           'name',           '{name}',                                     NULL,        '{}',                       false),
              ('module_profiles',       'Module Profile',       'name',           '{name}',                                     NULL,        '{}',                       false),
              ('module_profile_blocks', 'Module Profile Block', 'module_profile', '{module_profile,module}',                    NULL,        '{}',                       false),
              ('pages',                 'Page',                 'name',           '{name}',                                     NULL,        '{}',                       false),
              ('page_roles',            'Page Role',            'page',           '{page,role,custom}',                         NULL,        '{}',                       false),
              ('reports',               'Report',               'name',           '{name}',                                     NULL,        '{}',                       false),
              ('report_roles',          'Report Role',          'report',         '{report,role,custom}',                       NULL,        '{}',                       false),
              ('doctypes',              'DocType',              'name',           '{name}',                                     NULL,        '{partitions}',             false),
              ('doctype_fields',        'DocField',             'doctype',        '{doctype,column_name}',                      NULL,        '{}',                       false),
              ('settings',              'Settings',             NULL,             '{}',                                         NULL,        '{only_row}',               false),
              ('login_providers',       'Social Login Key',     'name',           '{name}',                                     NULL,        '{}',                       false)
          ) AS v (relation, object_type, name_column, key_columns, user_column, left_out, by_row)
    LOOP
        PERFORM docperm._watch_permissions(w.relation, w.object_type, w.name_column, w.key_columns::name[], w.user_column,
                                           w.left_out::name[], w.by_row);
    END LOOP;
END
$$;
