;; attacks: limits.deadline and limits.fuel, with neither loop nor recursion: sixty functions, each of which calls the one before it twice
;; with: deadline=200ms
;; gets: deadline_exceeded limit=deadline
;; with: fuel=5000000
;; gets: resource_exhausted limit=fuel
;; control: raw: runs on
(module
  (memory (export "memory") 1)
  (global $n (mut i64) (i64.const 0))
  (func $f0 (global.set $n (i64.add (global.get $n) (i64.const 1))))
  ;; repeat 60
  (func $f{n+1} (call $f{n}) (call $f{n}))
  ;; end
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (if (local.get $tool) (then (return (call $answer (i64.const 42)))))
    (call $f60)
    (return (call $answer (global.get $n)))))
