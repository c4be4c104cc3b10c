# SPDX-License-Identifier: Apache-2.0
"""A policy that allows everything that it does not know: labels are all it is for. Printed as CIL."""
SIDS = ('kernel security unlabeled fs file file_labels init any_socket port netif netmsg node igmp_packet icmp_socket tcp_socket '
        'sysctl_modprobe sysctl sysctl_fs sysctl_kernel sysctl_net sysctl_net_unix sysctl_vm sysctl_dev kmod policy scmp_packet '
        'devnull').split()
OBJECTS = 'file dir lnk_file chr_file blk_file sock_file fifo_file'.split()
CATEGORIES = [f'c{n}' for n in range(1024)]
PROCESSES, FILES = ('kernel_t', 'container_t'), ('file_t', 'container_file_t', 'other_file_t')
S0 = '((s0) (s0))'

print('(handleunknown allow)(mls true)(class process (transition dyntransition))')
for name in OBJECTS:
    print(f'(class {name} (execmod))')
print(f'(classorder (process {" ".join(OBJECTS)}))')
for name in SIDS:
    print(f'(sid {name})')
print(f'(sidorder ({" ".join(SIDS)}))(sensitivity s0)(sensitivityorder (s0))')
print(' '.join(f'(category {name})' for name in CATEGORIES))
print(f'(categoryorder ({" ".join(CATEGORIES)}))(sensitivitycategory s0 (range c0 c1023))')
print('(role object_r)(role system_r)(user system_u)(userrole system_u system_r)(userrole system_u object_r)'
      '(userlevel system_u (s0))(userrange system_u ((s0) (s0 (range c0 c1023))))')
for role, types in (('system_r', PROCESSES), ('object_r', FILES)):
    for name in types:
        print(f'(type {name})(roletype {role} {name})')
print('(allow kernel_t kernel_t (process (transition)))')
for name in SIDS:
    print(f'(sidcontext {name} (system_u {"system_r kernel_t" if name in ("kernel", "init") else "object_r file_t"} {S0}))')
for name in ('ext4', 'xfs', 'btrfs', 'overlay'):
    print(f'(fsuse xattr {name} (system_u object_r file_t {S0}))')
print(f'(fsuse trans tmpfs (system_u object_r file_t {S0}))')
